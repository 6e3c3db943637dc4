"""BrainSettings' records_url, and where `tandem up` records."""

from pathlib import Path

import pytest

from services.brain.settings import BrainSettings
from services.common.settings import SettingsInvalid, YamlFile
from tandem import settings as stack_settings
from tandem.plan import make_plan


def in_force(tmp_path: Path, text: str) -> BrainSettings:
    given = stack_settings.check(YamlFile(Path("t.yaml"), text))
    brain = make_plan(given, tmp_path, free_ports=True).settings.sections["brain"]
    assert isinstance(brain, BrainSettings)
    return brain


def test_a_brain_by_itself_records_nothing() -> None:
    assert BrainSettings().records_url == ""


def test_tandem_up_records_beside_the_traces_unless_told_otherwise(tmp_path: Path) -> None:
    assert in_force(tmp_path, "").records_url == f"sqlite:///{tmp_path}/records.db"
    assert in_force(tmp_path, 'brain: {records_url: ""}').records_url == ""
    assert in_force(tmp_path, "brain: {records_url: 'postgresql://db/x'}").records_url == "postgresql://db/x"


def test_a_wrong_url_is_told_with_its_line_and_without_its_password() -> None:
    text = "brain:\n  records_url: mysql://root:secret@db/x\n  records_kept_days: 0\n"
    with pytest.raises(SettingsInvalid) as error:
        stack_settings.check(YamlFile(Path("t.yaml"), text))
    assert "t.yaml:2: brain.records_url: expected sqlite:///path/to/file.db or postgresql://" in str(error.value)
    assert "t.yaml:3: brain.records_kept_days" in str(error.value)
    assert "secret" not in str(error.value)
