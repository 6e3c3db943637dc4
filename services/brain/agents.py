"""The agents of one brain: read from their folders, read again when these change, by version.

A live call keeps the version that it began with. What replaces it is for calls to come.
"""

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from services.brain.agent import Agent, AgentInvalid, load_agent
from services.brain.agent.files import Fingerprint, agent_folders, fingerprint
from services.brain.agent.mistakes import Mistake
from services.brain.folderwatch import FolderWatch
from services.brain.guardrails.call_guard import AgentGuard
from services.brain.models import Models
from services.brain.tools.toolbox import ToolBox
from services.brain.tools.workshop import Workshop
from services.common.telemetry.log import logger

# Soon enough for whoever tries a change by calling; a look costs a `stat` for each file.
LOOK_EVERY_S = 2.0


@dataclass(slots=True)
class _Version:
    """One version of an agent, and how many calls have it."""

    agent: Agent
    tools: ToolBox
    models: Models
    guard: AgentGuard
    calls: int = 0
    replaced: bool = False


@dataclass(slots=True)
class AgentLease:
    """The version of an agent that one call has, until `release` or the end of `with`."""

    agent: Agent
    tools: ToolBox
    models: Models
    guard: AgentGuard
    _release: Callable[[], None] = field(repr=False)
    _held: bool = True

    def release(self) -> None:
        """The call is over. Again does nothing."""
        if self._held:
            self._held = False
            self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


class Agents:
    """The agents in `folder`, one a subfolder. `await start()` before the first call, `await close()` after the last.

    tools_of, models_of: make what a version of an agent has, for all its calls; tools come from a workshop that is
    closed here, unless they are given.
    """

    def __init__(
        self,
        folder: Path,
        variables: Mapping[str, str],
        tools_of: Callable[[Agent], ToolBox] | None = None,
        models_of: Callable[[Agent], Models] = Models,
    ) -> None:
        """Raises AgentInvalid for the first folder that has mistakes."""
        self._folder = folder
        self._variables = dict(variables)
        self._workshop: Workshop | None = None
        if tools_of is None:
            self._workshop = Workshop()
            tools_of = self._workshop.box
        self._tools_of = tools_of
        self._models_of = models_of
        self._versions: dict[str, list[_Version]] = {}
        """By name of the folder, the newest last. The newest is not `replaced`, unless the folder is gone."""
        self._watch = FolderWatch()
        self._closing: set[asyncio.Task[None]] = set()
        for path in agent_folders(folder):
            # Before it is read: what changes meanwhile is seen by the next look.
            self._watch.taken[path.name] = fingerprint(path)
            agent = load_agent(path, self._variables)
            self._versions[path.name] = [self._made(agent)]

    def __len__(self) -> int:
        return len(self.all())

    def get(self, name: str) -> tuple[Agent, ToolBox, Models] | None:
        """The newest version, for a look at it: a call takes a `lease`."""
        newest = self._newest(name)
        return (newest.agent, newest.tools, newest.models) if newest is not None else None

    def all(self) -> list[Agent]:
        """The newest version of each agent that takes calls."""
        return [newest.agent for name in self._versions if (newest := self._newest(name)) is not None]

    def models(self) -> list[Models]:
        """Those of the agents in `all`."""
        return [newest.models for name in self._versions if (newest := self._newest(name)) is not None]

    def lease(self, name: str, version: str = "") -> AgentLease | None:
        """The agent for one call; None when no folder of that name takes calls.

        `version` is that of a call which another brain began: the very same if it is loaded here, else the newest.
        """
        versions = self._versions.get(name, [])
        found = next((one for one in versions if version and one.agent.version == version), None)
        if found is None and (found := self._newest(name)) is not None and version:
            logger().warning("agent version not loaded", agent=name, wanted=version, version=found.agent.version)
        if found is None:
            return None
        held = found
        held.calls += 1

        def release() -> None:
            held.calls -= 1
            self._drop_unused(name)

        return AgentLease(held.agent, held.tools, held.models, held.guard, release)

    async def start(self) -> None:
        """Gets tools and models ready, so that no caller waits. Raises ValueError for a model that is none."""
        for versions in self._versions.values():
            for one in versions:
                await one.tools.start()
                await one.models.warm_up()

    async def watch(self, every_s: float = LOOK_EVERY_S) -> None:
        """Looks at the folders for as long as it runs."""
        while True:
            await asyncio.sleep(every_s)
            try:
                await self.look()
            except Exception:  # of a sick disk, say: what is loaded goes on
                logger().exception("agent folders not looked at")

    async def look(self) -> None:
        """Takes in what has changed: a change counts when two looks have seen the same."""
        found = await asyncio.to_thread(self._fingerprints)
        looked = self._watch.look(found)
        for name in looked.read:
            await self._read(name)
        for name in looked.gone:
            self._retire(name)

    async def close(self) -> None:
        """Closes all tools, also those of calls that are not over."""
        for versions in self._versions.values():
            for one in versions:
                await one.tools.aclose()
        self._versions.clear()
        if self._closing:
            await asyncio.wait(self._closing)
        if self._workshop is not None:
            await self._workshop.aclose()

    def _newest(self, name: str) -> _Version | None:
        versions = self._versions.get(name)
        return versions[-1] if versions and not versions[-1].replaced else None

    def _fingerprints(self) -> dict[str, Fingerprint]:
        found: dict[str, Fingerprint] = {}
        for path in agent_folders(self._folder):
            try:
                found[path.name] = fingerprint(path)
            except OSError:  # it goes while we look: the next look tells
                continue
        return found

    async def _read(self, name: str) -> None:
        """A folder that is new or has changed. With mistakes, what was there before goes on."""
        before = self._newest(name)
        kept = before.agent.version if before else ""
        try:
            agent = await asyncio.to_thread(load_agent, self._folder / name, self._variables)
        except AgentInvalid as error:
            _tell_mistakes(name, kept, error.mistakes)
            return
        if before is not None and before.agent.version == agent.version:
            if before.agent != agent:
                logger().warning("agent changed without a new `version`, not loaded", agent=name, version=agent.version)
            return
        try:
            made = self._made(agent)
        except AgentInvalid as error:
            _tell_mistakes(name, kept, error.mistakes)
            return
        await made.tools.start()
        try:
            await made.models.warm_up()
        except Exception as error:  # of a model that is none: what was there before goes on
            _tell_mistakes(name, kept, [error])
            await made.tools.aclose()
            return
        self._retire(name)
        self._versions.setdefault(name, []).append(made)
        logger().info("agent loaded", agent=name, version=agent.version, before=kept)

    def _made(self, agent: Agent) -> _Version:
        """Raises AgentInvalid for a `guard.filter` that does not load: its file is run here and not before."""
        try:
            guard = AgentGuard(agent, os.environ)
        except Exception as error:  # whatever the file of the agent's author raises
            mistake = Mistake(agent.guard.filter.partition(":")[0], 0, "", str(error) or repr(error))
            raise AgentInvalid(str(agent.folder), [mistake]) from error
        return _Version(agent, self._tools_of(agent), self._models_of(agent), guard)

    def _retire(self, name: str) -> None:
        """No new calls for what is there; calls that have it keep it."""
        for one in self._versions.get(name, []):
            if not one.replaced and name not in self._watch.taken:
                logger().info("agent folder gone, no new calls", agent=name, calls=one.calls)
            one.replaced = True
        self._drop_unused(name)

    def _drop_unused(self, name: str) -> None:
        versions = self._versions.get(name, [])
        for one in [one for one in versions if one.replaced and not one.calls]:
            versions.remove(one)
            task = asyncio.create_task(one.tools.aclose())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def _tell_mistakes(name: str, kept: str, mistakes: Iterable[object]) -> None:
    told = [str(one) for one in mistakes]
    logger().error("agent has mistakes, the last good version stays", agent=name, version=kept, mistakes=told)
