"""Talking with an agent in the terminal: lines in, what is heard out."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass

from tandem.textcall import Exchange, TextCall

HELP = """\
/press 123#    press keys
/interrupt 3   hear only three words of the next answer, then speak over it (3 unless given)
/wait 8        say nothing for eight seconds
/slots         what the agent has collected
/messages      the conversation as the model sees it
/quit          hang up"""

_INTERRUPT_AFTER = 3


class NotUnderstood(ValueError):
    """What is wrong with a line that begins with a slash."""


@dataclass(frozen=True, slots=True)
class Deed:
    """One line of the terminal: `kind` is say, press, interrupt, wait, slots, messages, help or quit."""

    kind: str
    text: str = ""
    number: float = 0.0


def read_line(line: str) -> Deed | None:
    """What a line means; None when it is empty. Raises NotUnderstood."""
    line = line.strip()
    if not line:
        return None
    if not line.startswith("/"):
        return Deed("say", line)
    command, _, rest = line[1:].partition(" ")
    rest = rest.strip()
    match command:
        case "press" if rest and not set(rest) - set("0123456789*#ABCD"):
            return Deed("press", rest)
        case "press":
            raise NotUnderstood("/press takes keys: 0-9 * # A-D, as in /press 123#")
        case "interrupt" if not rest or (rest.isdecimal() and int(rest)):
            return Deed("interrupt", number=int(rest or _INTERRUPT_AFTER))
        case "interrupt":
            raise NotUnderstood("/interrupt takes a number of words, as in /interrupt 3")
        case "wait":
            try:
                seconds = float(rest or 8)
            except ValueError:
                seconds = 0.0
            if not 0 < seconds <= 600:
                raise NotUnderstood("/wait takes seconds, up to 600, as in /wait 8")
            return Deed("wait", number=seconds)
        case "slots" | "messages" | "help":
            return Deed(command)
        case "quit" | "q" | "exit":
            return Deed("quit")
    raise NotUnderstood(f"there is no /{command}; /help tells what there is")


def shown(exchange: Exchange) -> list[str]:
    """The lines that tell what came of it: tools, what was heard, and how long it took."""
    lines = []
    for tool in exchange.tools:
        arguments = ", ".join(f"{name}={value!r}" for name, value in tool.arguments.items())
        result = tool.result.get("value") if tool.ok else tool.result.get("error") or tool.result.get("code")
        text = json.dumps(result, ensure_ascii=False)
        text = text if len(text) <= 100 else f"{text[:99]}…"
        lines.append(f"  tool {tool.name}({arguments}) {'→' if tool.ok else 'failed:'} {text}")
    latency = "" if exchange.first_word_ms is None else f"  [{exchange.first_word_ms:.0f} ms]"
    cut = " … (you speak now)" if exchange.speaking else ""
    lines.append(f"agent: {exchange.agent_text}{cut}{latency}" if exchange.agent_text else "agent says nothing")
    if exchange.transferred:
        lines.append("(a person has the caller)")
    elif exchange.asked_for_person:
        lines.append("(nobody took the call)")
    if exchange.ended:
        lines.append("(the call is over)")
    return lines


async def talk(call: TextCall, read: Callable[[], str], write: Callable[[str], None], troubles: list[str]) -> None:
    """Until the call is over. `read` gives the next line (in a thread) and raises EOFError at the end.

    `troubles` are lines that others put there, to be told once.
    """

    def tell_troubles() -> None:
        for line in dict.fromkeys(troubles):
            write(f"  {line}")
        troubles.clear()

    for line in shown(call.greeting):
        write(line)
    tell_troubles()
    while not call.ended:
        try:
            deed = read_line(await asyncio.to_thread(read))
        except EOFError:
            return
        except NotUnderstood as error:
            write(str(error))
            continue
        over = deed is not None and await _do(call, deed, write)
        tell_troubles()
        if over:
            return


async def _do(call: TextCall, deed: Deed, write: Callable[[str], None]) -> bool:
    """True when the caller hangs up."""
    match deed.kind:
        case "quit":
            return True
        case "help":
            write(HELP)
        case "slots":
            write(json.dumps(call.slots, ensure_ascii=False) if call.slots else "nothing collected")
        case "messages":
            write(json.dumps(call.messages, ensure_ascii=False, indent=2))
        case "interrupt":
            call.interrupt_after(int(deed.number))
            write(f"the next answer is heard up to its word {deed.number:g}")
        case "say" | "press" | "wait":
            made = (
                call.say(deed.text)
                if deed.kind == "say"
                else call.press(deed.text)
                if deed.kind == "press"
                else call.wait(deed.number)
            )
            for line in shown(await made):
                write(line)
    return False
