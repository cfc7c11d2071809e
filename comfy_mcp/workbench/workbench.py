"""The use cases, each a method: what can be made, make it, wait for it, cancel it, fetch it.

Owns the wiring of the layers below.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import anyio

from comfy_mcp import images
from comfy_mcp.assets import Assets, sink_from_url
from comfy_mcp.backends import ComfyUIBackend, Member, Pool
from comfy_mcp.dispatch import Dispatcher
from comfy_mcp.errors import InvalidImage, NotFound
from comfy_mcp.fetching import Fetcher
from comfy_mcp.jobs import Asset, Job, JobRequest, JobState
from comfy_mcp.settings import Settings, load_settings
from comfy_mcp.store import Mode, QueueLimits, Record, SqliteStore
from comfy_mcp.tasks import background, to_the_end
from comfy_mcp.texts import CHAT
from comfy_mcp.watch import Board, Watcher
from comfy_mcp.workbench.authoring import Authoring
from comfy_mcp.workbench.binding import Accepting, idempotency, picture_named
from comfy_mcp.workbench.changing import Changes, written
from comfy_mcp.workbench.chat_values import CHAT_PICTURES, described_chat
from comfy_mcp.workbench.chats import Chats
from comfy_mcp.workbench.comparisons import Comparisons
from comfy_mcp.workbench.gallery import Gallery
from comfy_mcp.workbench.graphs import Graphs
from comfy_mcp.workbench.inputs import Inputs
from comfy_mcp.workbench.places import Places
from comfy_mcp.workbench.presets import Presets
from comfy_mcp.workbench.service import backends_of, elected, opener, run_limits, watch_settings
from comfy_mcp.workbench.streams import Streams
from comfy_mcp.workbench.sweeps import Sweeps
from comfy_mcp.workbench.tokens import Tokens
from comfy_mcp.workbench.waiting_line import WaitingLine
from comfy_mcp.workflows import Catalogue, ObjectInfo, describe, shipped_folder

__all__ = ["Workbench"]

_ELSEWHERE_POLL_SECONDS = 0.25
_HERE_POLL_SECONDS = 2.0
_RELOAD_SECONDS = 1.0


class Workbench:
    """Make one with `open`; every method may be called from many tasks at once.

    ``ending`` is set by a front door that goes: the calls that end with it were not given up by anybody.
    """

    def __init__(self, settings: Settings, store: SqliteStore, assets: Assets, pool: Pool) -> None:
        self.settings = settings
        self.store = store
        self.assets = assets
        self.pool = pool
        self.dispatching = False
        self.ending = anyio.Event()
        self._board = Board()
        self.tokens = Tokens(store)
        store.most_waiting = self.tokens.most_waiting
        self.presets = Presets(self)
        self.sweeps = Sweeps(self)
        self.graphs = Graphs(self)
        self.authoring = Authoring(self)
        self.chats = Chats(self)
        self.streams = Streams(self)
        self.comparisons = Comparisons(self)
        self._places = Places(store, pool)
        self.line = WaitingLine(self, self._board, self._places)
        self._inputs = Inputs(store, assets)
        self.gallery = Gallery(self, self._inputs)
        self._changing = anyio.Lock()
        self._catalogue = Catalogue.load(self._folders)
        self._looked_at = time.monotonic()

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, *, dispatch: bool = True) -> AsyncGenerator[Self]:
        """Open the data folder and, once elected, run jobs until the end of the block.

        No backend need be there. ``dispatch`` False only queues and watches.

        Raises:
            StorageUnavailable: the data folder cannot be used.
            SettingsError: the setting ``assets`` names no storage, or the settings file cannot be used.
        """
        told = load_settings()
        async with AsyncExitStack() as stack:
            store = await stack.enter_async_context(SqliteStore.open(settings.database, limits=_limits(settings)))
            pool = await stack.enter_async_context(Pool.open(backends_of(settings), opener(settings)))
            tasks = await stack.enter_async_context(background())
            assets = Assets(sink_from_url(settings.assets, settings.data), settings.asset_name)
            workbench = cls(settings, store, assets, pool)
            tasks.start_soon(watch_settings, told, lambda: workbench.settings, workbench._take_up)
            if dispatch:
                workbench.streams.expect()
                tasks.start_soon(workbench._dispatch)
            yield workbench

    async def change_settings(self, changes: Changes) -> None:
        """Change keys of the settings file; what can be is taken up at once. Who adds to what is there gives a function
        of the settings, so that no change of another is lost. Raises as `written` does."""
        async with self._changing:
            await to_the_end(self._take_up(await to_the_end(written(changes, self.settings))))

    async def _take_up(self, settings: Settings) -> None:
        """Changed settings hold: at once for what comes, at its end for what runs."""
        self.settings = settings
        self.store.limits = _limits(settings)
        await self.pool.change(backends_of(settings))

    async def _dispatch(self) -> None:
        async with elected(self.settings.data):
            self.dispatching = True
            dispatcher = Dispatcher(
                self.store, self.assets, self.pool, self._board, limits=lambda: run_limits(self.settings)
            )
            self.streams.ask(dispatcher)
            try:
                async with background() as tasks:
                    tasks.start_soon(self.comparisons.drive)
                    tasks.start_soon(self.gallery.tidy)
                    await dispatcher.run()
            finally:
                self.dispatching = False

    @property
    def _folders(self) -> tuple[Path, ...]:
        return (shipped_folder(), *self.settings.template_folders)

    @property
    def catalogue(self) -> Catalogue:
        """The templates and styles as they are on disk now, looked at again at most once a second."""
        now = time.monotonic()
        if now - self._looked_at > _RELOAD_SECONDS:
            self._looked_at = now
            if Catalogue.fingerprint(self._folders) != self._catalogue.fingerprint_seen:
                self._catalogue = Catalogue.load(self._folders)
        return self._catalogue

    async def submit(self, request: JobRequest, key: str | None = None) -> Job:
        """Check everything, put the job on disk, then return it; nothing has reached a backend's queue yet.

        With the ``key`` of an earlier request of this owner and template it is that job, whatever came of it.

        Raises:
            NotFound: no such template, style or input picture.
            InvalidParameter, TooLarge: a value that the template does not take; the details name the parameter.
            MissingNode, MissingModel: no ComfyUI has what the template needs.
            BackendUnavailable: no ComfyUI answers, or ever did, so nothing can be checked; nothing was accepted.
            Conflict: the idempotency key was used for another request.
            Overloaded, StorageUnavailable: the queue is full, or the disk refuses.
        """
        if request.template == CHAT:
            return await self.chats.make(request, key)
        if (earlier := await self.earlier(request, key)) is not None:
            return earlier
        new = await self._accepting.accepted(request)
        # Once it is on disk the caller gets to know it, so that who gives up knows what to give up.
        job = await to_the_end(self.store.enqueue(new, idempotency(request, key) if key else None))
        self._board.post_work()
        return job

    async def check(self, request: JobRequest, pictures: Collection[str] = ()) -> None:
        """Whether `submit` would take this, of a template, once it has these ``pictures``; raises as that does."""
        await self._accepting.accepted(request, pictures)

    def pictures_of(self, template: str) -> tuple[str, ...]:
        """The parameters that name a picture. Raises NotFound."""
        return CHAT_PICTURES if template == CHAT else tuple(self.catalogue.get(template).pictures)

    async def earlier(self, request: JobRequest, key: str | None) -> Job | None:
        """The job that an earlier request with this key made. Raises Conflict as `submit` does."""
        # Of a chat, only what it comes to tells whether it is the same.
        once = idempotency(request, key) if key and request.template != CHAT else None
        found = await self.store.find(request.owner, request.template, once) if once else None
        return None if found is None else await self._shown(found)

    async def submit_all(self, requests: Sequence[JobRequest], record: Callable[[Sequence[str]], Record]) -> list[Job]:
        """Queue all of them with a record of them, or none when one cannot be accepted or the queue has no room; raises
        as `submit`."""
        accepted = [await self._accepting.accepted(request) for request in requests]
        jobs = await to_the_end(self.store.enqueue_all(accepted, record))
        self._board.post_work()
        return list(jobs)

    def notify(self) -> None:
        """Something was queued."""
        self._board.post_work()

    @property
    def _accepting(self) -> Accepting:
        settings = self.settings
        return Accepting(self.catalogue, self.store, self.pool, settings.queue_expiry, settings.locked)

    async def job(self, job: str, owner: str | None = None) -> Job:
        """The job as it is now, with the newest progress or its place in the queue. Raises NotFound."""
        return await self._shown(await self.store.get(job, owner))

    async def jobs(
        self, owner: str | None = None, *, limit: int = 50, before: str | None = None, cells: bool = True
    ) -> Sequence[Job]:
        """The newest jobs first; ``before`` is the id of the last one of the page before. Without ``cells``, what ended
        of a comparison is left out."""
        found = await self.store.list(owner, limit=limit, before=before, cells=cells)
        return [await self._shown(job) for job in found]

    async def active(self, owner: str | None = None, *, limit: int = 50) -> Sequence[Job]:
        """What runs, then what waits, oldest first."""
        return [await self._shown(job) for job in await self.store.active(owner, limit=limit)]

    async def _shown(self, job: Job) -> Job:
        if job.state.terminal:
            return job
        progress = self._board.progress(job.id)
        if progress is not None:
            return job.at(progress)
        return replace(job, place=await self._places.of(job)) if job.state is JobState.QUEUED else job

    async def follow(self, job: str, owner: str | None = None, *, every: float = 0.0) -> AsyncGenerator[Job]:
        """The job now, again after every change, and a last time when it has ended. Raises NotFound.

        What another process does is looked for ``every`` so many seconds, if that is longer than usual.
        """
        with self._board.watching(job) as watcher:
            current = _in_order(await self.job(job, owner), watcher)
            yield current
            while not current.state.terminal:
                usual = _HERE_POLL_SECONDS if self.dispatching else _ELSEWHERE_POLL_SECONDS
                notice = await watcher.wait(max(usual, every))
                looked = await self.job(job, owner) if notice.changed or not notice.progress else None
                # Also what came while it was looked at: none is told after a later one, or left out at the end.
                told = notice.progress if looked is None else (*notice.progress, *watcher.taken())
                for progress in told:
                    current = current.at(progress)
                    yield current
                if looked is not None:
                    if looked.state is JobState.RUNNING and (told or self._is_behind(looked, current)):
                        looked = looked.at(current.progress)
                    if looked != current:
                        current = looked
                        yield current

    def _is_behind(self, looked: Job, current: Job) -> bool:
        """Whether what is on disk is older than what was told: when an attempt has just ended, only that is left."""
        less = looked.progress.fraction < current.progress.fraction
        return less and looked.attempt == current.attempt and self._board.progress(looked.id) is None

    async def wait(
        self,
        job: str,
        seconds: float,
        owner: str | None = None,
        *,
        on_change: Callable[[Job], Awaitable[None]] | None = None,
    ) -> Job:
        """The job when it has ended, or as it is after ``seconds``. ``on_change`` sees every change before.

        Raises:
            NotFound: there is no such job.
        """
        current: Job | None = None
        with anyio.move_on_after(seconds):
            async with aclosing(self.follow(job, owner)) as changes:
                async for current in changes:
                    if on_change is not None and not current.state.terminal:
                        await on_change(current)
        return await self.job(job, owner) if current is None else current

    async def cancel(self, job: str, owner: str | None = None) -> Job:
        """End a queued job now; ask the dispatcher to stop a running one; leave an ended one. Raises NotFound."""
        current = await self.store.cancel(job, owner)
        self._board.post_work()
        self._board.post(job)
        return current

    async def cancel_all(self, owner: str, template: str, prefix: str) -> None:
        """As `cancel`, every job of these whose idempotency key begins so."""
        concerned = await to_the_end(self.store.cancel_all(owner, template, prefix))
        self._board.post_work()
        for job in concerned:
            self._board.post(job)

    @property
    def drops_abandoned(self) -> bool:
        """Whether the job of a call that ends without its answer is stopped."""
        return self.settings.abandoned == "cancel" and not self.ending.is_set()

    async def stopped(self, seconds: float) -> None:
        """Until the running jobs that were cancelled have ended, if they run in this process; at most ``seconds``."""
        if self.dispatching:
            with anyio.move_on_after(seconds):
                for job in await self.store.cancel_requests():
                    await self.wait(job, seconds)

    async def set_mode(self, backend: str, mode: Mode) -> Member:
        """Pause, drain or resume a backend, for every process and until told otherwise. Raises NotFound."""
        member = self.pool.find(backend)
        if member is None:
            known = ", ".join(each.name for each in self.pool.members)
            raise NotFound(f"There is no backend {backend[:64]!r}.", hint=f"There are: {known}.")
        await self.store.set_mode(backend, mode)
        self.pool.set_modes(await self.store.modes())
        self._board.post_work()
        return member

    async def backends(self) -> Sequence[Member]:
        """Every backend as it is now; what was paused from another process is told too."""
        self.pool.set_modes(await self.store.modes())
        return self.pool.members

    @property
    def known_info(self) -> ObjectInfo | None:
        """What the first ComfyUI that is known offered when it last answered; never asks."""
        backends = [member.backend for member in self.pool.members]
        infos = (backend.known_info for backend in backends if isinstance(backend, ComfyUIBackend))
        return next((info for info in infos if info is not None), None)

    async def object_info(self) -> ObjectInfo:
        """What the first ComfyUI offers now. Raises BackendUnavailable when none answers, or ever did."""
        return (await self.pool.object_infos())[0]

    async def describe(self, template: str, *, fresh: bool = False) -> dict[str, Any]:
        """Everything about a template, or a chat, with every choice, as was last known or as it is now (``fresh``).

        Raises:
            NotFound: there is no such template, or no LLM server is set up to chat with.
            BackendUnavailable: no ComfyUI (for a chat: no LLM server) answers, or ever did.
        """
        if template == CHAT and self.settings.all_llm_servers:
            offered = await self.chats.offered(fresh=fresh)
            return described_chat([f"{name}/{each.id}" for name, has in offered.items() for each in has if each.chats])
        found = self.catalogue.get(template)
        info = None if fresh else self.known_info
        return describe(found, object_info=info or await self.object_info())

    async def upload(self, data: bytes, owner: str = "local") -> Asset:
        """Keep a picture as an input for later jobs; its metadata (place, camera) is not kept.

        Raises:
            InvalidImage: not a whole PNG, JPEG, WebP or GIF.
            TooLarge: more pixels than are taken.
            StorageUnavailable: it cannot be stored.
        """
        return await self._inputs.keep((await images.accept_upload(data)).data, owner)

    async def upload_from(self, url: str, owner: str = "local") -> Asset:
        """Keep the picture behind an address, when the settings allow it; raises as `upload` does."""
        return await self.upload(await self.fetch(url), owner)

    async def release(self, asset: Asset) -> None:
        """Forget an uploaded picture that was for a request of which nothing came. Raises StorageUnavailable."""
        await self._inputs.release(asset)

    async def fetch(self, url: str) -> bytes:
        """What is behind an address, not looked at, when the settings allow it. Raises InvalidImage and TooLarge."""
        if not self.settings.fetch_urls:
            raise InvalidImage(
                "Addresses are not fetched.",
                hint="Give the id of an earlier job or picture, or the picture as base64; or set fetch_urls.",
            )
        return await Fetcher(self.settings.max_body).fetch(url)

    async def asset(self, asset: str, owner: str | None = None) -> Asset:
        """The record of a picture. Raises NotFound."""
        return await self.store.asset(asset, owner)

    async def picture(self, name: str, owner: str | None = None) -> Asset:
        """The picture of this id, or the first one of the job of this id. Raises NotFound."""
        return await picture_named(name, owner, self.store)

    async def read(self, asset: Asset) -> bytes:
        """The bytes of a picture, checked against their hash. Raises NotFound when they expired."""
        return await self.assets.read(asset)


def _in_order(job: Job, watcher: Watcher) -> Job:
    """The job no further than the progress that its watcher is told of next: none is told before an earlier one."""
    oldest = watcher.oldest
    return job if oldest is None or job.state is not JobState.RUNNING else job.at(oldest)


def _limits(settings: Settings) -> QueueLimits:
    return QueueLimits(settings.max_queue, settings.max_queue_per_owner)
