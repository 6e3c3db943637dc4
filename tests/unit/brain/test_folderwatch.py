"""When an agent folder is read again."""

import pytest

from services.brain.agent.files import Fingerprint
from services.brain.folderwatch import FolderWatch, Looked

OLD: Fingerprint = (("agent.yaml", 1, 10),)
HALF: Fingerprint = (("agent.yaml", 2, 10),)
NEW: Fingerprint = (("agent.yaml", 2, 10), ("tools.yaml", 2, 5))


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        pytest.param([{"a": OLD}, {"a": OLD}], [(), ()], id="nothing changed"),
        pytest.param([{"a": NEW}, {"a": NEW}, {"a": NEW}], [(), ("a",), ()], id="read at the second look, once"),
        pytest.param([{"a": HALF}, {"a": NEW}, {"a": NEW}], [(), (), ("a",)], id="while it is being saved it waits"),
        pytest.param([{"a": NEW}, {"a": OLD}, {"a": OLD}], [(), (), ()], id="changed back"),
        pytest.param([{"a": OLD, "b": NEW}, {"a": OLD, "b": NEW}], [(), ("b",)], id="a new folder"),
        pytest.param([{}, {"a": OLD}, {"a": OLD}], [(), (), ()], id="gone for one look: an editor's rename"),
    ],
)
def test_what_is_read(looks: list[dict[str, Fingerprint]], expected: list[tuple[str, ...]]) -> None:
    watch = FolderWatch({"a": OLD})
    assert [watch.look(look).read for look in looks] == expected


def test_what_is_gone_is_told_once_and_comes_back() -> None:
    watch = FolderWatch({"a": OLD})
    looks: list[dict[str, Fingerprint]] = [{"a": OLD}, {}, {}, {}, {"a": OLD}, {"a": OLD}]
    told = [watch.look(look) for look in looks]
    assert told == [Looked(), Looked(), Looked(gone=("a",)), Looked(), Looked(), Looked(read=("a",))]
