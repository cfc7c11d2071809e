"""All backends: which there are, how they are, and who may work on a card.

Owns their connections, probes and circuit breakers, and how many attempts each has; never a job. Settings may change
at any time: a backend that is left out ends its jobs and goes.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Self

import anyio
from anyio.abc import TaskGroup, TaskStatus

from comfy_mcp.backends.breaker import Circuit
from comfy_mcp.backends.comfyui import ComfyUIBackend
from comfy_mcp.backends.interface import Backend, BackendConfig
from comfy_mcp.backends.llm import UnusableLLM
from comfy_mcp.backends.member import Member
from comfy_mcp.errors import BackendError, BackendUnavailable, DatabaseUnavailable, SettingsError, WorkbenchError
from comfy_mcp.store import Mode
from comfy_mcp.tasks import background
from comfy_mcp.workflows import ObjectInfo
from llm_bridge.scheduling import Server

__all__ = ["Pool"]

log = logging.getLogger(__name__)

_LOOK_SECONDS = 30.0
_UNLOAD_SECONDS = 30.0
_TIDY_SECONDS = 5.0

Open = Callable[[BackendConfig], AbstractAsyncContextManager[Backend]]


@dataclass(slots=True)
class _Card:
    """``unload`` are those that must let go of its memory, in this order, before anybody begins; one sees to it."""

    lock: anyio.Lock = field(default_factory=lambda: anyio.Lock(fast_acquire=True))
    unload: dict[str, None] = field(default_factory=dict[str, None])


class Pool:
    """Make it with `open`; nothing is asked of the backends before jobs are sent (`serve`) or checked."""

    def __init__(self, open_backend: Open, tasks: TaskGroup) -> None:
        self._open_backend, self._tasks = open_backend, tasks
        self._members: dict[str, Member] = {}
        self._alive: list[Member] = []
        self._modes: Mapping[str, Mode] = {}
        self._cards: dict[str, _Card] = {}
        self._changing = anyio.Lock()
        self._on_change: Callable[[], None] = lambda: None
        self._on_freed: Callable[[str], Awaitable[object]] | None = None

    @classmethod
    @asynccontextmanager
    async def open(cls, configs: Sequence[BackendConfig], open_backend: Open) -> AsyncGenerator[Self]:
        """The backends of these settings; none is asked anything before it is needed."""
        async with background() as tasks:
            pool = cls(open_backend, tasks)
            await pool.change(configs)
            yield pool

    def serve(self, on_change: Callable[[], None], on_freed: Callable[[str], Awaitable[object]]) -> None:
        """Jobs are sent from here, now that all that run are entered: find out what the backends have.

        ``on_change`` is told when a backend came back, was added or was found to have more, ``on_freed`` that nothing
        is known any more of what a card holds.
        """
        self._on_change, self._on_freed = on_change, on_freed
        self.ask_what_they_have()

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
                try:
                    await self._tasks.start(self._live, config)
                except Exception:
                    # One that cannot even be set up keeps nobody from the others.
                    log.exception("%s cannot be used.", config.name)
        self._on_change()

    def set_modes(self, modes: Mapping[str, Mode]) -> bool:
        """Pause, drain and resume as told; whether anything changed."""
        changed, self._modes = False, modes
        for member in self.members:
            mode = modes.get(member.name, Mode.ACTIVE)
            if mode is not member.mode:
                member.mode, member.drained, changed = mode, False, True
                member.notice()
        return changed

    def enter(self, member: Member) -> None:
        """An attempt begins there."""
        member.running += 1
        member.drained = False

    def leave(self, member: Member, ended: str | None) -> None:
        """An attempt ended there; ``ended`` is its id when its outcome is on disk, and its record there is for nothing.

        Not before: a restart finds the job by that record.
        """
        member.running -= 1
        if ended is not None:
            member.ended.append(ended)
        member.notice()

    async def tidy_up(self) -> None:
        """Delete the backends' own records: many at once, since each is a request that an empty job would notice."""
        for member in self.members:
            await self._forget(member)

    async def _forget(self, member: Member) -> None:
        attempts, member.ended = member.ended, []
        if not attempts:
            return
        try:
            with anyio.move_on_after(_TIDY_SECONDS):
                await member.backend.forget(attempts)
        except WorkbenchError as failure:
            log.info("%s keeps its own record of %d attempts: %s", member.name, len(attempts), failure)
        except Exception:
            log.exception("%s keeps its own record of %d attempts.", member.name, len(attempts))

    def servers(self, names: frozenset[str]) -> list[Server]:
        """All backends as the scheduling policy sees them; safe to call from any thread.

        Those that leave are closed, and hold their cards while their last jobs run.
        """
        return [member.server(names) for member in tuple(self._alive) if member.running or not member.leaving]

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

    def heard(self, member: Member, failure: WorkbenchError | None) -> None:
        """A job that runs there found that it does not answer, or that it does again (None)."""
        if failure is None:
            member.breaker.answered()
        elif member.breaker.circuit is Circuit.OPEN:
            # That is known, and would only put off the probe.
            return
        else:
            self.unreachable(member, failure)
        self._on_change()

    async def make_room(self, member: Member, unload: Iterable[str]) -> None:
        """Let the others of the card go of their memory, and wait for whoever is at it already.

        What is left undone by one who is cancelled, the next one does: it came because it was to be done.
        """
        card = self._cards.setdefault(member.config.place, _Card())
        card.unload |= dict.fromkeys(unload)
        card.unload.pop(member.name, None)
        async with card.lock:
            while card.unload:
                name = next(iter(card.unload))
                other = self.find(name)
                if other is not None and other.breaker.failure is None:
                    await self._unload(other)
                card.unload.pop(name, None)

    async def _unload(self, member: Member) -> bool:
        try:
            with anyio.fail_after(_UNLOAD_SECONDS):
                await member.backend.unload()
        except (WorkbenchError, TimeoutError) as failure:
            # Its memory may be gone with it; if not, the next job there says so in plain words.
            log.warning("%s does not unload its models: %s", member.name, failure)
            return False
        return True

    async def _live(self, config: BackendConfig, *, task_status: TaskStatus[None]) -> None:
        async with self._opened(config) as backend:
            mode, asked = self._modes.get(config.name, Mode.ACTIVE), self._on_freed is not None
            member = self._members[config.name] = Member(config, backend, mode=mode, asked=asked)
            if isinstance(backend, ComfyUIBackend):
                backend.client.on_silence = partial(self.heard, member)
            if isinstance(backend, UnusableLLM):
                member.breaker.unreachable(backend.failure)
            self._alive.append(member)
            task_status.started()
            while not (member.leaving and member.running == 0):
                await self._look_after(member)
                with anyio.move_on_after(self._patience(member)):
                    await member.changed.wait()
                member.changed = anyio.Event()
            await self._forget(member)
            self._alive.remove(member)
            if self._members.get(config.name) is member:
                del self._members[config.name]

    @asynccontextmanager
    async def _opened(self, config: BackendConfig) -> AsyncGenerator[Backend]:
        """The backend; one that is set up wrongly stays in sight and says so, until the settings are others."""
        async with AsyncExitStack() as stack:
            try:
                backend = await stack.enter_async_context(self._open_backend(config))
            except SettingsError as failure:
                log.warning("%s cannot be used: %s", config.name, failure)
                backend = UnusableLLM(failure)
            yield backend

    def _patience(self, member: Member) -> float:
        due = member.breaker.seconds_to_probe
        return _LOOK_SECONDS if due is None else due

    async def _look_after(self, member: Member) -> None:
        """Probe one that is open, learn what it has when asked, and let one that is drained go of its memory."""
        try:
            if member.breaker.seconds_to_probe == 0:
                await member.backend.probe()
                member.breaker.answered()
                member.asked = self._on_freed is not None
                self._on_change()
            if member.asked and member.breaker.circuit is not Circuit.OPEN:
                if await member.backend.refresh():
                    self._on_change()
                member.asked = False
            if member.mode is Mode.DRAINING and member.running == 0 and not member.drained:
                await self._drain(member)
        except DatabaseUnavailable:
            log.exception("Of the card of %s it is not recorded that it is free.", member.name)
        except WorkbenchError as failure:
            if str(failure) != str(member.breaker.failure):
                level = logging.INFO if member.config.assumed else logging.WARNING
                log.log(level, "%s cannot be used: %s", member.name, failure)
            member.breaker.unreachable(failure)
        except Exception:
            log.exception("%s answers nonsense.", member.name)
            member.breaker.unreachable(BackendError(f"What answers for {member.name} cannot be understood."))

    async def _drain(self, member: Member) -> None:
        if self._on_freed is not None:
            done = await self._unload(member)
            await self._on_freed(member.config.place)
            member.drained = done
