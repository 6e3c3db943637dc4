"""The subcommands of `tandem`."""
