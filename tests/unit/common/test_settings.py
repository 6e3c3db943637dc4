"""Mistakes in settings files, told with their place and without what must not be shown."""

from pathlib import Path

import pytest
from pydantic import field_validator, model_validator

from services.common.service import read_section
from services.common.settings import (
    ServiceSettings,
    Settings,
    SettingsInvalid,
    YamlFile,
    hidden_mistake,
    mistake_at,
)


class Inner(Settings):
    secret: str = "x"
    least: int = 0
    most: int = 9

    @field_validator("secret", mode="before")
    @classmethod
    def _secret(cls, given: object) -> object:
        if given != "x":
            raise hidden_mistake("not {that} one")
        return given

    @model_validator(mode="after")
    def _consistent(self) -> "Inner":
        if self.least > self.most:
            raise mistake_at(("least",), f"{self.least} is more than most")
        return self


class Outer(Settings):
    inner: list[Inner]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("inner:\n- most: 1\n  least: 2\n", "f.yaml:3: inner.0.least: 2 is more than most"),
        ("inner:\n- secret: cauliflower\n", "f.yaml:2: inner.0.secret: not {that} one"),
        ("inner:\n- most: many\n", "f.yaml:2: inner.0.most: input should be a valid integer, unable to parse string"),
    ],
)
def test_a_mistake_stands_at_its_key(text: str, mistake: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        YamlFile(Path("f.yaml"), text).validate(Outer)
    assert str(refused.value).startswith(mistake)
    assert "cauliflower" not in f"{refused.value} {refused.value.__cause__}"


def test_a_key_that_is_given_twice() -> None:
    file = YamlFile(Path("f.yaml"), "asr:\n  log: 1\nlog_level: info\nasr: {}\n")
    with pytest.raises(SettingsInvalid, match=r"^f\.yaml:4: asr: the key is given twice, first on line 1$"):
        read_section(file, "tts", ServiceSettings)
