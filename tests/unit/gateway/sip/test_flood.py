"""What a flood of requests from forged sources may cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.unit.gateway.sip.conftest import Line


def test_transactions_are_bounded_and_calls_go_on(line: Line) -> None:
    line.establish()
    layer = line.agent._calls.layer
    layer.most_servers = 20
    tag = line.to_tag
    for _ in range(100):
        line.send("OPTIONS", to_tag="")
    assert len(layer._servers) <= 20
    assert line.statuses.count(503) >= 80
    line.clear()
    line.send("INFO", to_tag=tag)
    assert line.statuses == [200]
    line.clear()
    for _ in range(100):
        line.send("OPTIONS", to_tag="forged")
    assert len(layer._servers) <= 40
    line.run(40)
    line.clear()
    line.send("OPTIONS", to_tag="")
    assert line.statuses == [200]
    line.send("BYE", to_tag=tag)
    line.over()


def test_a_ringing_call_is_cancelled_all_the_same(line: Line) -> None:
    line.invite()
    line.agent._calls.layer.most_servers = 1
    line.send("OPTIONS", to_tag="")
    assert line.statuses[-1] == 503
    line.receive(line.request("CANCEL", cseq=1, branch="z9hG4bKinvite", to_tag=""))
    assert line.statuses[-2:] == [200, 487]
    line.ack(branch="z9hG4bKinvite")
    line.over()
