"""Which agent folders are to be read again: what was seen of them goes in, what to do comes out."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from services.brain.agent.files import Fingerprint


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look at the folders asks for, by folder name."""

    read: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


@dataclass(slots=True)
class FolderWatch:
    """A changed folder is read when it looks the same twice: whoever saves several files is not caught in between.

    `taken` are the fingerprints that were read last, mistakes or not.
    """

    taken: dict[str, Fingerprint] = field(default_factory=dict)
    _seen: dict[str, Fingerprint] | None = None

    def look(self, now: Mapping[str, Fingerprint]) -> Looked:
        """`now`: each folder there is. What is to be read counts as read from here on."""
        before, self._seen = self._seen if self._seen is not None else dict(self.taken), dict(now)
        read = [name for name, prints in now.items() if self.taken.get(name) != prints == before.get(name)]
        gone = [name for name in self.taken if name not in now and name not in before]
        for name in read:
            self.taken[name] = now[name]
        self._forget(gone)
        return Looked(tuple(sorted(read)), tuple(sorted(gone)))

    def _forget(self, names: Iterable[str]) -> None:
        for name in names:
            del self.taken[name]
