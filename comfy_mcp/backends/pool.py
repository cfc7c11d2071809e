"""All backends: which there are, how they are, and who may work on a card.

Owns their connections, probes and circuit breakers, and how many attempts each has; never a job. Settings may change
at any time: a backend that is left out ends its jobs and goes.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Self

import anyio
from anyio.abc import TaskGroup, TaskStatus

from comfy_mcp.backends.breaker import Breaker, Circuit
from comfy_mcp.backends.comfyui import ComfyUIBackend
from comfy_mcp.backends.interface import Backend, BackendConfig
from comfy_mcp.errors import BackendError, BackendUnavailable, WorkbenchError
from comfy_mcp.store import Mode
from comfy_mcp.tasks import background
from comfy_mcp.workflows import ObjectInfo
from llm_bridge.scheduling import Server

__all__ = ["Member", "Pool"]

log = logging.getLogger(__name__)

_LOOK_SECONDS = 30.0
_UNLOAD_SECONDS = 30.0

Open = Callable[[BackendConfig], AbstractAsyncContextManager[Backend]]


@dataclass(eq=False, slots=True)
class Member:
    """One backend with what is known of it. ``running`` attempts are ours."""

    config: BackendConfig
    backend: Backend
    breaker: Breaker = field(default_factory=Breaker)
    mode: Mode = Mode.ACTIVE
    running: int = 0
    leaving: bool = False
    drained: bool = False
    asked: bool = False
    changed: anyio.Event = field(default_factory=anyio.Event)

    @property
    def name(self) -> str:
        return self.config.name

    def notice(self) -> None:
        self.changed.set()

    def server(self, names: frozenset[str]) -> Server:
        """As the scheduling policy sees it."""
        config = self.config
        tags = frozenset(f"tag:{tag}" for tag in config.tags)
        return Server(
            name=config.name,
            card=config.place,
            offers=self.backend.offers(names) | tags,
            slots=config.concurrency,
            running=self.running,
            open=self.mode is Mode.ACTIVE and not self.leaving and self.breaker.admits(self.running),
        )


class Pool:
    """Make it with `open`. ``on_change`` is told when a backend came back or a card was freed."""

    def __init__(self, open_backend: Open, tasks: TaskGroup) -> None:
        self._open_backend, self._tasks = open_backend, tasks
        self._members: dict[str, Member] = {}
        self._cards: dict[str, anyio.Lock] = {}
        self._changing = anyio.Lock()
        self.on_change: Callable[[], None] = lambda: None
        self.on_freed: Callable[[str], Awaitable[object]] | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, configs: Sequence[BackendConfig], open_backend: Open) -> AsyncGenerator[Self]:
        """The backends of these settings; none is asked anything before it is needed."""
        async with background() as tasks:
            pool = cls(open_backend, tasks)
            await pool.change(configs)
            yield pool

    @property
    def members(self) -> tuple[Member, ...]:
        return tuple(self._members.values())

    def find(self, name: str | None) -> Member | None:
        return self._members.get(name or "")

    @property
    def outage(self) -> WorkbenchError | None:
        """Why nothing can run now, when no backend can be reached."""
        failures = [member.breaker.failure for member in self.members if not member.leaving]
        return next((failure for failure in failures if failure), None) if all(failures) else None

    @property
    def standstill(self) -> str | None:
        """Why no waiting job can start, in a sentence, when none can; also what ends it."""
        if (outage := self.outage) is not None:
            return f"{outage.message} The job starts as soon as a backend is back."
        if self.members and all(member.mode is not Mode.ACTIVE for member in self.members):
            return "Every backend is paused; the job starts when one is resumed (comfy-workbench backends resume NAME)."
        return None

    async def change(self, configs: Sequence[BackendConfig]) -> None:
        """Make the backends those of ``configs``; one at another address is another one."""
        async with self._changing:
            await self._change({config.name: config for config in configs})

    async def _change(self, wanted: Mapping[str, BackendConfig]) -> None:
        for member in self.members:
            config = wanted.get(member.name)
            if config is None or not config.reached_as(member.config):
                member.leaving = True
            else:
                member.leaving, member.config = False, config
            member.notice()
        for config in wanted.values():
            known = self._members.get(config.name)
            if known is None or known.leaving:
                await self._tasks.start(self._live, config)
        self.on_change()

    def set_modes(self, modes: Mapping[str, Mode]) -> bool:
        """Pause, drain and resume as told; whether anything changed."""
        changed = False
        for member in self.members:
            mode = modes.get(member.name, Mode.ACTIVE)
            if mode is not member.mode:
                member.mode, member.drained, changed = mode, False, True
                member.notice()
        return changed

    def enter(self, member: Member) -> None:
        """An attempt begins there."""
        member.running += 1

    def leave(self, member: Member) -> None:
        """An attempt ended there."""
        member.running -= 1
        member.notice()

    def servers(self, names: frozenset[str]) -> list[Server]:
        """All backends as the scheduling policy sees them; safe to call from any thread."""
        return [member.server(names) for member in self.members]

    def ask_what_they_have(self) -> None:
        """Somebody waits, and nobody is known to take the job: look whether something was added."""
        for member in self.members:
            member.asked = True
            member.notice()

    async def object_infos(self, *, fresh: bool = False) -> list[ObjectInfo]:
        """What each ComfyUI offers; of one that is down, what it last offered. ``fresh`` asks again.

        Raises:
            BackendUnavailable: none answers, and none ever did.
        """
        infos: list[ObjectInfo] = []
        refusal: WorkbenchError | None = None
        for member in self.members:
            backend = member.backend
            if not isinstance(backend, ComfyUIBackend) or member.leaving:
                continue
            try:
                if member.breaker.circuit is not Circuit.OPEN or backend.known_info is None:
                    await backend.object_info(fresh=fresh)
            except WorkbenchError as failure:
                self.unreachable(member, failure)
                refusal = refusal or failure
            if backend.known_info is not None:
                infos.append(backend.known_info)
        if infos:
            return infos
        raise refusal or BackendUnavailable("No ComfyUI is set up.", hint="Set WORKBENCH_COMFYUI_URL.")

    def unreachable(self, member: Member, failure: WorkbenchError) -> None:
        """Nothing more goes there until it answers a probe."""
        member.breaker.unreachable(failure)
        member.notice()

    async def make_room(self, member: Member, unload: Iterable[str]) -> None:
        """Let the others of the card go of their memory, and wait for whoever is at it already."""
        async with self._cards.setdefault(member.config.place, anyio.Lock()):
            for name in unload:
                other = self.find(name)
                if other is not None and other.breaker.failure is None:
                    await self._unload(other)

    async def _unload(self, member: Member) -> None:
        try:
            with anyio.fail_after(_UNLOAD_SECONDS):
                await member.backend.unload()
        except (WorkbenchError, TimeoutError) as failure:
            # Its memory may be gone with it; if not, the next job there says so in plain words.
            log.warning("%s does not unload its models: %s", member.name, failure)

    async def _live(self, config: BackendConfig, *, task_status: TaskStatus[None]) -> None:
        async with self._open_backend(config) as backend:
            member = self._members[config.name] = Member(config, backend)
            task_status.started()
            while not (member.leaving and member.running == 0):
                await self._look_after(member)
                with anyio.move_on_after(self._patience(member)):
                    await member.changed.wait()
                member.changed = anyio.Event()
            if self._members.get(config.name) is member:
                del self._members[config.name]

    def _patience(self, member: Member) -> float:
        due = member.breaker.seconds_to_probe
        return _LOOK_SECONDS if due is None else due

    async def _look_after(self, member: Member) -> None:
        """Probe one that is open, learn what it has when asked, and let one that is drained go of its memory."""
        try:
            if member.breaker.seconds_to_probe == 0:
                await member.backend.probe()
                member.breaker.answered()
                self.on_change()
            if member.asked and member.breaker.circuit is not Circuit.OPEN:
                member.asked = False
                if await member.backend.refresh():
                    self.on_change()
        except WorkbenchError as failure:
            if str(failure) != str(member.breaker.failure):
                log.warning("%s cannot be used: %s", member.name, failure)
            member.breaker.unreachable(failure)
        except Exception:
            log.exception("%s answers nonsense.", member.name)
            member.breaker.unreachable(BackendError(f"What answers for {member.name} cannot be understood."))
        if member.mode is Mode.DRAINING and member.running == 0 and not member.drained and self.on_freed is not None:
            member.drained = True
            await self._unload(member)
            await self.on_freed(member.config.place)
