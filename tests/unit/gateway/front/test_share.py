"""What each worker gets of a gateway's settings; how soon it is started again; what trunks tell each other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.service import StartRefused
from services.gateway.front.fronttransport import SharedTrunks
from services.gateway.front.restarts import FIRST_S, LONGEST_S, STABLE_S, Restarts
from services.gateway.front.share import check_rtp_ports, rtp_ports, settings_of
from services.gateway.settings import GatewaySettings, TrunkSettings


@given(st.integers(1, 64), st.integers(1024, 60000), st.integers(200, 5000))
def test_rtp_ports_are_divided_evenly(workers: int, first: int, count: int) -> None:
    settings = GatewaySettings(workers=workers, rtp_ports=(first, first + count), max_calls=1)
    shares = [rtp_ports(settings, number) for number in range(workers)]
    together = [port for share in shares for port in share]
    assert together == [port for port in range(first, first + count + 1) if port % 2 == 0]
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_workers_settings() -> None:
    settings = GatewaySettings(workers=3, rtp_ports=(20000, 20599), control_address="[::1]:7301", max_calls=9)
    own = [settings_of(settings, number) for number in range(3)]
    assert [one.rtp_ports for one in own] == [(20000, 20198), (20200, 20398), (20400, 20598)]
    assert {(one.workers, one.control_address, one.max_calls) for one in own} == {(1, "[::1]:0", 9)}


def test_each_worker_has_metrics_of_its_own() -> None:
    def own(address: str | None) -> list[str | None]:
        settings = GatewaySettings(workers=3, metrics_address=address, max_calls=9)
        return [settings_of(settings, number).metrics_address for number in range(3)]

    assert own(None) == [None, None, None]
    # The front has 9464.
    assert own("[::1]:9464") == ["[::1]:9465", "[::1]:9466", "[::1]:9467"]
    assert own("127.0.0.1:0") == ["127.0.0.1:0"] * 3


def test_too_few_rtp_ports_for_an_uneven_spread() -> None:
    check_rtp_ports(GatewaySettings(workers=4, max_calls=200))
    tight = GatewaySettings(workers=4, rtp_ports=(20000, 20399), max_calls=200)
    with pytest.raises(StartRefused, match="widen rtp_ports to 600 ports"):
        check_rtp_ports(tight)
    check_rtp_ports(GatewaySettings(workers=4, rtp_ports=(20000, 20599), max_calls=200))
    check_rtp_ports(GatewaySettings(workers=2, rtp_ports=(20000, 20007), max_calls=2))


def test_restarts_are_ever_later_until_one_lives() -> None:
    restarts = Restarts()
    waits = [restarts.wait_s(1.0) for _ in range(10)]
    assert waits[:4] == [0.1, 0.2, 0.4, 0.8]
    assert waits[-1] == LONGEST_S
    assert restarts.wait_s(STABLE_S) == FIRST_S


def test_what_one_looks_up_is_told_once_and_known_to_all() -> None:
    settings = GatewaySettings(trunks=[TrunkSettings(name="a"), TrunkSettings(name="b")])
    told: list[str] = []
    here, there = SharedTrunks(settings, told.append), SharedTrunks(settings, told.append)
    here.learn("a", [])
    here.learn("a", ["192.0.2.2", "192.0.2.1"])
    here.learn("a", ["192.0.2.1", "192.0.2.2"])
    assert told == ["a\n192.0.2.1\n192.0.2.2"]
    there.hear(told[0])
    assert len(told) == 1
    for trunks in (here, there):
        trunk = trunks.of("192.0.2.1")
        assert trunk is not None
        assert trunk.name == "a"
