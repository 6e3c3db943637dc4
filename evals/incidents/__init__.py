"""Faults planted in a running Tandem, and whether its telemetry names them."""
