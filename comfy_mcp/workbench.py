"""The use cases: what can be made, make it, wait for it, cancel it, fetch it.

The only door that front doors use. Owns the wiring of the layers below and the election of the one dispatcher.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Self

import anyio
from filelock import FileLock, Timeout

from comfy_mcp import images
from comfy_mcp.assets import Assets, sink_from_url
from comfy_mcp.backends import Backend
from comfy_mcp.dispatch import Dispatcher, Limits
from comfy_mcp.errors import (
    BackendError,
    InvalidParameter,
    MissingModel,
    MissingNode,
    NotFound,
    WorkbenchError,
)
from comfy_mcp.jobs import Asset, BoundWorkflow, Job, JobRequest
from comfy_mcp.settings import Settings
from comfy_mcp.store import Idempotency, JobStore, NewJob, SqliteStore
from comfy_mcp.tasks import background
from comfy_mcp.watch import Board
from comfy_mcp.workflows import Catalogue, ObjectInfo, Template, bind, check, shipped_folder

__all__ = ["Workbench"]

log = logging.getLogger(__name__)

_ELECTION_SECONDS = 1.0
_ELSEWHERE_POLL_SECONDS = 0.25
_HERE_POLL_SECONDS = 2.0
_RELOAD_SECONDS = 1.0


class Workbench:
    """Make one with `open`; every method may be called from many tasks at once."""

    def __init__(self, settings: Settings, store: JobStore, assets: Assets, backend: Backend) -> None:
        self.settings = settings
        self.store = store
        self.assets = assets
        self.backend = backend
        self.dispatching = False
        self._board = Board()
        self._catalogue = Catalogue.load(self._folders)
        self._looked_at = time.monotonic()

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, *, dispatch: bool = True) -> AsyncGenerator[Self]:
        """Open the data folder and, once elected, run jobs until the end of the block.

        ComfyUI need not be there. ``dispatch`` False only queues and watches.

        Raises:
            StorageUnavailable: the data folder cannot be used.
            SettingsError: the setting ``assets`` names no storage.
        """
        secret = settings.comfyui_authorization
        async with (
            SqliteStore.open(settings.database, max_queue=settings.max_queue) as store,
            Backend.open(
                settings.comfyui_urls[0],
                authorization=secret.get_secret_value() if secret else None,
                gone=settings.backend_gone,
            ) as backend,
            background() as tasks,
        ):
            assets = Assets(sink_from_url(settings.assets, settings.data), settings.asset_name)
            workbench = cls(settings, store, assets, backend)
            if dispatch:
                tasks.start_soon(workbench._dispatch)
            yield workbench

    async def _dispatch(self) -> None:
        """Wait to be the one dispatcher of this data folder, then be it."""
        limits = Limits(self.settings.job_timeout, self.settings.max_attempts, self.settings.concurrency)
        lock = FileLock(self.settings.data / "dispatcher.lock", thread_local=False)
        while not self.dispatching:
            try:
                lock.acquire(timeout=0)
                self.dispatching = True
            except Timeout:
                await anyio.sleep(_ELECTION_SECONDS)
        try:
            await Dispatcher(self.store, self.assets, self.backend, self._board, limits).run()
        finally:
            self.dispatching = False
            lock.release()

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

    async def submit(self, request: JobRequest, idempotency: Idempotency | None = None) -> Job:
        """Check everything, put the job on disk, then return it; nothing has reached ComfyUI's queue yet.

        Raises:
            NotFound: no such template, style or input picture.
            InvalidParameter, TooLarge: a value that the template does not take; the details name the parameter.
            MissingNode, MissingModel: this ComfyUI lacks what the template needs.
            BackendUnavailable: ComfyUI does not answer, so nothing can be checked; nothing was accepted.
            Conflict: the idempotency key was used for another request.
            Overloaded, StorageUnavailable: the queue is full, or the disk refuses.
        """
        catalogue = self.catalogue
        template = catalogue.get(request.template)
        style = catalogue.style(request.style) if request.style else None
        values = await self._own_pictures(template, request)
        info = await self.backend.object_info()
        try:
            bound = self._bound(template, values, style, info)
        except (InvalidParameter, MissingModel, MissingNode):
            # A model or a node pack may have been added since ComfyUI was asked.
            bound = self._bound(template, values, style, await self.backend.object_info(fresh=True))
        new = NewJob(request.owner, template.id, request.style, bound, bound.warnings)
        job = await self.store.enqueue(new, idempotency)
        self._board.post_work()
        return job

    def _bound(self, template: Template, values: Mapping[str, Any], style: Any, info: ObjectInfo) -> BoundWorkflow:
        bound = bind(template, values, style=style, object_info=info)
        check(bound, info)
        return bound

    async def _own_pictures(self, template: Template, request: JobRequest) -> dict[str, Any]:
        """The values with every picture named by asset id; the id of a job stands for its first picture."""
        values = dict(request.values)
        for parameter in template.pictures:
            value = values.get(parameter)
            if isinstance(value, str) and value:
                try:
                    values[parameter] = await self._picture(value, request.owner)
                except NotFound as failure:
                    raise InvalidParameter(
                        parameter,
                        f"{parameter}: there is no picture {value[:64]!r}.",
                        hint="Give the id of an earlier job or picture, or upload one first.",
                    ) from failure
        return values

    async def _picture(self, name: str, owner: str) -> str:
        try:
            return (await self.store.asset(name, owner)).id
        except NotFound:
            assets = (await self.store.get(name, owner)).assets
            if not assets:
                raise
            return assets[0].id

    async def job(self, job: str, owner: str | None = None) -> Job:
        """The job as it is now, with the newest progress. Raises NotFound."""
        return self._with_progress(await self.store.get(job, owner))

    async def jobs(self, owner: str | None = None, *, limit: int = 50, before: str | None = None) -> Sequence[Job]:
        """The newest jobs first; ``before`` is the id of the last one of the page before."""
        return [self._with_progress(job) for job in await self.store.list(owner, limit=limit, before=before)]

    def _with_progress(self, job: Job) -> Job:
        progress = self._board.progress(job.id)
        return job if progress is None or job.state.terminal else job.at(progress)

    async def follow(self, job: str, owner: str | None = None) -> AsyncGenerator[Job]:
        """The job now, again after every change, and a last time when it has ended. Raises NotFound."""
        with self._board.watching(job) as watcher:
            current = await self.job(job, owner)
            yield current
            while not current.state.terminal:
                notice = await watcher.wait(_HERE_POLL_SECONDS if self.dispatching else _ELSEWHERE_POLL_SECONDS)
                for progress in notice.progress:
                    current = current.at(progress)
                    yield current
                if notice.changed or not notice.progress:
                    before, current = current, await self.job(job, owner)
                    if current != before:
                        yield current

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

    async def upload(self, data: bytes, owner: str = "local") -> Asset:
        """Keep a picture as an input for later jobs; its metadata (place, camera) is not kept.

        Raises:
            InvalidImage: not a whole PNG, JPEG, WebP or GIF.
            TooLarge: more pixels than are taken.
            StorageUnavailable: it cannot be stored.
        """
        accepted = await images.accept_upload(data)
        asset = await self.assets.keep(accepted.data, name_fields={"template": "upload"})
        await self.store.add_asset(owner, asset)
        return asset

    async def asset(self, asset: str, owner: str | None = None) -> Asset:
        """The record of a picture. Raises NotFound."""
        return await self.store.asset(asset, owner)

    async def read(self, asset: Asset) -> bytes:
        """The bytes of a picture, checked against their hash. Raises NotFound when they expired."""
        return await self.assets.read(asset)

    async def health(self) -> dict[str, Any]:
        """What works now, for `/healthz` and the doctor: each part "ok" or what to do about it."""
        try:
            stats = await self.backend.client.system_stats()
            comfyui = f"ok: ComfyUI {stats.get('system', {}).get('comfyui_version', 'of unknown version')}"
        except BackendError as failure:
            comfyui = str(failure)
        try:
            await self.assets.check()
            storage = "ok"
        except WorkbenchError as failure:
            storage = str(failure)
        return {"comfyui": comfyui, "assets": storage, "templates": len(self.catalogue.templates)}
