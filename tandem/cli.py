"""The command `tandem`. What a subcommand needs is imported when it runs: `tandem --help` answers at once."""

from tandem import lostinterrupt

lostinterrupt.send_again()  # before the imports below: they are where a Ctrl-C gets lost

import typer  # noqa: E402

from tandem.commands import agents, calls, models, recordings  # noqa: E402
from tandem.commands.bridge import bridge, hold, unbridge, whisper  # noqa: E402
from tandem.commands.call import call  # noqa: E402
from tandem.commands.checkconfig import check_config  # noqa: E402
from tandem.commands.dial import dial  # noqa: E402
from tandem.commands.sip import sip  # noqa: E402
from tandem.commands.trace import trace  # noqa: E402
from tandem.commands.trunks import trunks  # noqa: E402
from tandem.commands.up import up  # noqa: E402
from tandem.commands.why import why  # noqa: E402

app = typer.Typer(
    name="tandem",
    help="The telephone line for AI: answers SIP calls, talks, does the work, hands over to a person.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(up)
app.command()(call)
app.command()(trace)
app.command()(why)
app.command()(sip)
app.command()(trunks)
app.command()(dial)
app.command()(bridge)
app.command()(unbridge)
app.command()(hold)
app.command()(whisper)
app.command("check-config")(check_config)
app.add_typer(agents.app, name="agents")
app.add_typer(calls.app, name="calls")
app.add_typer(models.app, name="models")
app.add_typer(recordings.app, name="recordings")


@app.command()
def version() -> None:
    """Print the version."""
    from importlib.metadata import version as version_of

    typer.echo(f"tandem {version_of('tandem')}")


def main() -> None:
    app()


if __name__ == "__main__":
    main()
