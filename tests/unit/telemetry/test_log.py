"""Lines of log, from a process of their own: what is set up is the whole process's."""

import json
import subprocess
import sys
import textwrap
from typing import Any

TRACEPARENT = f"00-{'ab' * 16}-{'cd' * 8}-01"


def stderr_of(program: str) -> str:
    code = "import asyncio, logging, warnings\nfrom services.common.telemetry import log, trace\n"
    ran = subprocess.run(
        [sys.executable, "-c", code + textwrap.dedent(program)], capture_output=True, text=True, timeout=60, check=True
    )
    return ran.stderr


def lines_of(program: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stderr_of(program).splitlines()]


def test_a_line_says_when_who_and_what() -> None:
    (line,) = lines_of("log.set_up('brain'); log.logger().info('agent_loaded', agent='front_desk')")
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "agent_loaded", "agent": "front_desk", "level": "info", "service": "brain"}


def test_lines_of_a_call_carry_its_ids_and_others_do_not() -> None:
    mine, child, others = lines_of(f"""
        log.set_up("brain")
        async def child():
            log.logger().info("child")
        async def call():
            log.bind_call("c1", "{TRACEPARENT}")
            log.logger().info("mine")
            await asyncio.create_task(child())
        async def main():
            await asyncio.create_task(call())
            log.logger().info("others")
        asyncio.run(main())
    """)
    for line in (mine, child):
        assert (line["call_id"], line["trace_id"], line["span_id"]) == ("c1", "ab" * 16, "cd" * 8)
    assert not {"call_id", "trace_id", "span_id"} & set(others)


def test_within_a_span_it_is_that_span() -> None:
    (line, *_) = lines_of(f"""
        log.set_up("tts")
        trace.set_up("tts", None)
        log.bind_call("c1", "{TRACEPARENT}")
        with trace.tracer().start_as_current_span("x", context=trace.context_from_traceparent("{TRACEPARENT}")):
            log.logger().info("within")
    """)
    assert line["trace_id"] == "ab" * 16
    assert line["span_id"] != "cd" * 8


def test_libraries_come_through_the_same_lines() -> None:
    library, warned, failed = lines_of("""
        own = logging.getLogger("LiteLLM")
        own.addHandler(logging.StreamHandler())
        log.set_up("brain")
        own.info("not this one")
        own.warning("tried %d times", 3)
        warnings.warn("old")
        try:
            1 / 0
        except ZeroDivisionError:
            logging.getLogger("grpc").exception("failed")
    """)
    assert (library["event"], library["logger"], library["level"]) == ("tried 3 times", "LiteLLM", "warning")
    assert warned["logger"] == "py.warnings"
    assert (failed["service"], failed["level"]) == ("brain", "error")
    assert "ZeroDivisionError" in failed["exception"]


def test_a_flood_is_cut_short() -> None:
    lines = lines_of("""
        log.set_up("asr")
        for number in range(1000):
            log.logger().warning("frame_late", number=number)
        for number in range(1000):
            logging.getLogger("library").warning("failed %d", number)
        log.logger().info("after")
        assert log.suppressed() >= 1900
    """)
    assert 41 <= len(lines) < 100
    assert lines[-1]["event"] == "after"


def test_each_call_has_its_own_share() -> None:
    lines = lines_of("""
        log.set_up("gateway")
        for number in range(100):
            log.logger().info("call_ended", call_id=f"c{number}")
        for number in range(100):
            log.logger().warning("again", call_id="c1")
    """)
    assert sum(line["event"] == "call_ended" for line in lines) == 100
    assert sum(line["event"] == "again" for line in lines) < 50


def test_people_are_left_out_unless_asked_for() -> None:
    program = "log.set_up('asr', record_pii={}); log.logger().info('x', text='hello', caller='+49301234567')"
    (hidden,), (shown,) = lines_of(program.format(False)), lines_of(program.format(True))
    assert (hidden["text"], hidden["caller"]) == ("(not recorded)", "…567")
    assert (shown["text"], shown["caller"]) == ("hello", "+49301234567")


def test_text_for_people() -> None:
    text = stderr_of("""
        log.set_up("gateway", log_format="text")
        try:
            secret = "what the caller said"
            1 / 0
        except ZeroDivisionError:
            log.logger().exception("call_failed", call_id="c1")
    """)
    assert "call_failed" in text
    assert "call_id=c1" in text
    assert "ZeroDivisionError" in text
    assert "secret = " not in text.replace('secret = "what the caller said"', "")
    assert "│" not in text


def test_the_level_is_the_settings() -> None:
    lines = lines_of("log.set_up('asr', 'warning'); log.logger().info('no'); log.logger().warning('yes')")
    assert [line["event"] for line in lines] == ["yes"]
