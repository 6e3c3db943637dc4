"""Which records a command means, and since when."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from services.common.settings import SettingsInvalid
from tandem.records import NoRecords, clock, moment, nats_url, records_url

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("7d", datetime(2026, 11, 16, 12, 0, tzinfo=UTC)),
        ("12h", datetime(2026, 11, 23, 0, 0, tzinfo=UTC)),
        ("30m", datetime(2026, 11, 23, 11, 30, tzinfo=UTC)),
        ("2026-11-20T14:30+00:00", datetime(2026, 11, 20, 14, 30, tzinfo=UTC)),
        ("2026-11-20", datetime(2026, 11, 20).astimezone()),
    ],
)
def test_moments_as_people_write_them(text: str, at: datetime) -> None:
    assert moment(text, NOW) == int(at.timestamp() * 1e6)


@pytest.mark.parametrize("text", ["", "yesterday", "7", "d7", "999999d", "2026-13-01"])
def test_another_moment_is_explained(text: str) -> None:
    with pytest.raises(ValueError, match="expected 7d"):
        moment(text, NOW)


def test_the_url_is_the_said_one_or_that_of_the_settings_or_of_tandem_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "tandem.yaml"
    file.write_text("nats_url: nats://here:1\nbrain:\n  records_url: postgresql://db/calls\n")
    assert records_url(file, None) == "postgresql://db/calls"
    assert records_url(file, "sqlite:///x.db") == "sqlite:///x.db"
    assert nats_url(file, None) == "nats://here:1"
    monkeypatch.setenv("TANDEM_STATE", str(tmp_path))
    assert records_url(None, None) == f"sqlite:///{tmp_path}/records.db"
    file.write_text("log_level: info\n")
    assert records_url(file, None) == f"sqlite:///{tmp_path}/records.db"
    assert nats_url(file, None) == "nats://127.0.0.1:4222"


def test_records_that_are_off_or_no_url(tmp_path: Path) -> None:
    file = tmp_path / "tandem.yaml"
    file.write_text('brain:\n  records_url: ""\n')
    with pytest.raises(NoRecords, match="no calls are recorded"):
        records_url(file, None)
    file.write_text("brain:\n  records_url: [1]\n")
    with pytest.raises(SettingsInvalid, match=r"tandem.yaml:2.*expected a URL"):
        records_url(file, None)


def test_clock() -> None:
    assert clock(3_787_000_000) == "1:03:07"
