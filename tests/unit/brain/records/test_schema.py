"""Migrations in order, and URLs as people write them."""

from pathlib import Path

import pytest

from services.brain.records.schema import Migration, SchemaNewer, migrations, missing
from services.brain.records.tables import METADATA
from services.brain.records.url import engine_url, shown

TWO = [Migration(1, "a", ""), Migration(2, "b", "")]


def test_ours_are_numbered_and_split_into_statements() -> None:
    (first, *_) = migrations()
    assert first.version == 1
    assert all(one.startswith("CREATE ") for one in first.statements())
    tables = {one.split()[2] for one in first.statements() if one.startswith("CREATE TABLE")}
    assert tables == set(METADATA.tables)


@pytest.mark.parametrize(("applied", "todo"), [([], [1, 2]), ([1], [2]), ([1, 2], [])])
def test_what_is_missing_is_applied(applied: list[int], todo: list[int]) -> None:
    assert [one.version for one in missing(TWO, applied)] == todo


def test_a_newer_schema_is_refused_and_said_what_to_do() -> None:
    with pytest.raises(SchemaNewer, match="version 3 and this Tandem knows 2: use the newer Tandem"):
        missing(TWO, [1, 2, 3])


@pytest.mark.parametrize("names", [["0002_a.sql"], ["0001_a.sql", "0001_b.sql"], ["first.sql"]])
def test_numbers_that_do_not_follow_each_other_are_told(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(ValueError, match="expected"):
        migrations(tmp_path)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("sqlite:///records.db", "sqlite+aiosqlite:///records.db"),
        ("sqlite:////var/lib/records.db", "sqlite+aiosqlite:////var/lib/records.db"),
        ("postgresql://u:p@db:5433/calls", "postgresql+asyncpg://u:p@db:5433/calls"),
        ("postgres://u@db/calls", "postgresql+asyncpg://u@db/calls"),
        ("postgresql://u@db/calls?sslmode=require", "postgresql+asyncpg://u@db/calls?ssl=require"),
    ],
)
def test_a_url_gets_our_driver(text: str, url: str) -> None:
    assert engine_url(text).render_as_string(hide_password=False) == url


@pytest.mark.parametrize(
    "text", ["records.db", "mysql://u:secret@db/x", "sqlite://", "sqlite:///:memory:", "postgresql://u:secret@db"]
)
def test_another_url_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(ValueError, match="expected sqlite:///") as error:
        engine_url(text)
    assert "secret" not in str(error.value)


def test_people_see_no_password() -> None:
    assert shown(engine_url("postgresql://u:secret@db/calls")) == "postgresql://u:***@db/calls"
