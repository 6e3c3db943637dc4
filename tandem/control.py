"""What the commands that ask a running gateway have in common: where it is found, and what its refusals mean."""

from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    import grpc

EXIT_FAULT = 1
EXIT_MISTAKE = 2
CONTROL = "127.0.0.1:7301"
ANSWER_WITHIN_S = 5.0

ControlOption = Annotated[str, typer.Option(metavar="HOST:PORT", help="The gateway's CallControl.")]


class Refused(Exception):
    """The gateway does not do it; `code` is the command's exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def explained(error: "grpc.aio.AioRpcError", control: str) -> Refused:
    """What a failed call to the gateway at `control` means to who typed the command."""
    import grpc

    match error.code():
        case grpc.StatusCode.UNIMPLEMENTED:
            return Refused(f"what listens on {control} is no gateway: --control names its CallControl", EXIT_MISTAKE)
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.DEADLINE_EXCEEDED:
            return Refused(
                f"no gateway answers on {control}: is it running? --control names another CallControl address",
                EXIT_FAULT,
            )
        case grpc.StatusCode.NOT_FOUND | grpc.StatusCode.INVALID_ARGUMENT:
            return Refused(str(error.details()), EXIT_MISTAKE)
        case code:
            return Refused(f"the gateway on {control} refused: {code.name}: {error.details()}", EXIT_FAULT)


def refuse(command: str, message: str, code: int) -> NoReturn:
    """Ends the command with a line."""
    typer.echo(f"tandem {command}: {message}", err=True)
    raise typer.Exit(code)
