"""Templates that people write: a draft of a workflow or of a template, tried, then kept as a folder of their own.

Owns the drafts (records of their owner, a few, for some days) and what is written below the template folders. Who may
do it, the front doors ask.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread
from pydantic import ValidationError

from comfy_mcp.backends import ComfyUIBackend
from comfy_mcp.errors import (
    Conflict,
    ConversionError,
    InvalidParameter,
    MissingNode,
    NotAllowed,
    NotFound,
    TemplateError,
    WorkbenchError,
)
from comfy_mcp.jobs import GRAPH, Asset, Job, JobRequest, JobState
from comfy_mcp.store import Record
from comfy_mcp.tasks import to_the_end
from comfy_mcp.workbench.binding import Accepting
from comfy_mcp.workbench.drafts import MOST_ROWS, Draft, Row
from comfy_mcp.workbench.shelving import kept_preview, read_preview, removed
from comfy_mcp.workflows import (
    Catalogue,
    Imported,
    Lack,
    ObjectInfo,
    Parameter,
    Template,
    check_id,
    import_workflow,
    lacks,
    parameter_at,
    shipped_folder,
    write_template,
)
from comfy_mcp.workflows.importer.naming import says_nothing

if TYPE_CHECKING:
    from comfy_mcp.workbench.workbench import Workbench

__all__ = ["Authoring"]

_KIND = "draft"
_ID = re.compile(r"\d{13}[0-9a-f]{8}")
_MOST, _SECONDS = 10, 14 * 24 * 3600
_SEEN_SECONDS = 3.0
_MOST_PICTURES = 8
_NOT_SETTABLE = re.compile(r"[^a-z0-9_]+")


class Authoring:
    """The drafts and own templates of a workbench."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench
        self._keeping = anyio.Lock()

    async def infos(self) -> tuple[list[ObjectInfo], WorkbenchError | None]:
        """What every ComfyUI offers, as last heard; and why none answers now, if none does."""
        pool = self._workbench.pool
        try:
            infos = await pool.object_infos()
        except WorkbenchError as failure:
            return [], failure
        members = [each for each in pool.members if isinstance(each.backend, ComfyUIBackend) and not each.leaving]
        failures = [member.breaker.failure for member in members]
        return infos, next(iter(failures), None) if all(failures) else None

    async def lacks(self, template: Template, infos: Sequence[ObjectInfo]) -> list[Lack]:
        """What the ComfyUI that lacks least of it lacks."""
        looked = [await to_thread.run_sync(partial(lacks, template.graph, template.parameters, info)) for info in infos]
        return min(looked, key=len) if looked else []

    async def import_file(self, data: bytes, name: str, owner: str) -> Draft:
        """A draft of an exported workflow, or of a picture that carries one; ``name`` is that of the file, left
        out where it says nothing. One in the API format becomes a draft even where nodes are missing.

        Raises:
            ConversionError: it carries none, or one that cannot be converted; the detail ``nodes`` are missing ones.
            TemplateError: the graph is broken.
            TooLarge: more than 64 MiB, or more parameters than a form can show.
            BackendUnavailable: no ComfyUI answers, or ever did, to say what its nodes take.
        """
        title = "".join(letter if letter.isprintable() else " " for letter in name[:200])
        title = "" if says_nothing(title) else title
        pool = self._workbench.pool
        try:
            imported = await _imported(data, title, await pool.object_infos())
        except ConversionError as failure:
            if "nodes" not in failure.details:
                raise
            # A node pack may have been added since ComfyUI was asked.
            imported = await _imported(data, title, await pool.object_infos(fresh=True), may_lack=True)
        draft = Draft.begun(_new_id(), imported.id, imported.manifest, imported.graph, warnings=imported.warnings)
        return await self._begun(draft, owner)

    async def begin(self, name: str, owner: str) -> Draft:
        """A draft to change an own template, or to make an own one of a shipped one. Raises NotFound."""
        template = self._workbench.catalogue.get(name)
        of = "" if template.shipped else name
        begun = partial(Draft.begun, _new_id())
        return await self._begun(begun(of or f"my_{name}"[:32], template.manifest, template.graph, of=of), owner)

    async def _begun(self, draft: Draft, owner: str) -> Draft:
        rows = (*draft.rows[:MOST_ROWS], *(replace(row, keep=False) for row in draft.rows[MOST_ROWS:]))[:MOST_ROWS]
        draft = replace(draft, rows=rows)
        await self._write(draft, owner)
        await self._workbench.store.prune_records(owner, _KIND, _MOST)
        return draft

    async def drafts(self, owner: str) -> list[Draft]:
        """The drafts of a person, the newest first."""
        kept = await self._workbench.store.records(owner, _KIND)
        return [Draft.read(record) for name, record in sorted(kept.items(), reverse=True) if not _expired(name)]

    async def draft(self, name: str, owner: str) -> Draft:
        """Raises NotFound for one that is not there, not theirs or older than two weeks."""
        known = _ID.fullmatch(name) and not _expired(name)
        record = await self._workbench.store.record(owner, _KIND, name) if known else None
        if record is None:
            raise NotFound("There is no such draft.", hint="Import the workflow again, or start from a template.")
        return Draft.read(record)

    async def keep(self, draft: Draft, owner: str) -> None:
        """Keep what was changed of it, unless it was saved or discarded meanwhile: it does not come back."""
        async with self._keeping:
            if await self._workbench.store.record(owner, _KIND, draft.id) is not None:
                await self._write(draft, owner)

    async def discard(self, draft: Draft, owner: str) -> None:
        """Forget it."""
        async with self._keeping:
            await self._workbench.store.drop_record(owner, _KIND, draft.id)

    async def _write(self, draft: Draft, owner: str) -> None:
        await self._workbench.store.keep_record(Record(owner, _KIND, draft.id, draft.record()))

    async def with_parameter(self, draft: Draft, place: str) -> Draft:
        """With one more parameter at a place (`Class#node.input`) that is still free. Raises InvalidParameter, and
        MissingNode where no ComfyUI says what it takes."""
        bind = next((each for each in draft.free_places() if str(each) == place), None)
        infos, outage = await self.infos()
        if outage is not None and not infos:
            raise outage
        fit = next((info for info in infos if info.has(bind.class_type)), None) if bind else None
        told = parameter_at(draft.graph, fit, bind.node, bind.input) if bind and fit else None
        if bind is not None and fit is None:
            raise MissingNode.of([bind.class_type])
        if bind is None or told is None:
            raise InvalidParameter("place", "That cannot be set.", hint="Choose another value of the graph.")
        if len(draft.rows) >= MOST_ROWS:
            raise InvalidParameter("place", f"There are {MOST_ROWS} parameters already.", hint="Leave out some first.")
        row = replace(Row.of(_free(bind.input, draft), told), group="")
        return replace(draft, rows=(*draft.rows, row))

    async def try_out(self, draft: Draft, files: Mapping[str, bytes], owner: str) -> Draft:
        """Queue it once without saving it, with what was typed to try it and these picture files by parameter.

        Raises:
            TemplateError: it is none yet.
            InvalidImage: a file that is no picture; and all that `Workbench.submit` raises.
        """
        template = _whole(draft)
        workbench = self._workbench
        for name, data in files.items():
            if name in template.pictures:
                asset = await workbench.upload(data, owner)
                draft = replace(draft, trial={**draft.trial, name: asset.id})
        await self.keep(draft, owner)
        values = {
            name: _value(told, draft.trial[name]) for name, told in template.parameters.items() if name in draft.trial
        }
        given = {name: value for name, value in values.items() if value is not None}
        catalogue = Catalogue({GRAPH: replace(template, id=GRAPH)}, workbench.catalogue.styles, ())
        accepting = Accepting(catalogue, workbench.store, workbench.pool, workbench.settings.queue_expiry, {})
        new = await accepting.accepted(JobRequest(GRAPH, given, owner=owner))
        job = await to_the_end(workbench.store.enqueue(new))
        workbench.notify()
        draft = replace(draft, job=job.id)
        await self.keep(draft, owner)
        return draft

    async def trial(self, draft: Draft, owner: str) -> Job | None:
        """The last try as it is now."""
        try:
            return await self._workbench.job(draft.job, owner) if draft.job else None
        except NotFound:
            return None

    async def is_taken(self, draft: Draft) -> bool:
        """Whether saving it would replace another template than the one that it changes."""
        if draft.name == draft.of or draft.name in self._workbench.catalogue.templates:
            return draft.name != draft.of
        try:
            check_id(draft.name)
        except TemplateError:
            return False
        # One that cannot be used is in no catalogue.
        return await to_thread.run_sync((self._folder(draft.name) / draft.name).exists)

    async def save(self, draft: Draft, owner: str, *, overwrite: bool, preview: bool) -> str:
        """Write it below the template folders and forget the draft; its id as a template.

        ``overwrite`` replaces another one of this id. With ``preview`` the picture of the last try stands for it.

        Raises:
            TemplateError: it is none yet, or the folder cannot be written.
            Conflict: there is one of this id.
        """
        template = _whole(draft)
        if not overwrite and await self.is_taken(draft):
            raise Conflict(
                f"There is a template {draft.name!r} already.", hint="Take another id, or say to replace it."
            )
        imported = Imported(draft.name, template.manifest, draft.graph, ())
        write = partial(
            write_template, imported, self._folder(draft.name), overwrite=overwrite or draft.name == draft.of
        )
        folder = await to_thread.run_sync(write)
        job = await self.trial(draft, owner) if preview else None
        if job is not None and job.state is JobState.SUCCEEDED:
            await self._keep_preview(folder, [asset.id for asset in job.assets][:1], owner)
        await self.discard(draft, owner)
        await self._until_seen()
        return draft.name

    async def delete(self, name: str) -> None:
        """Remove an own template for good. Raises NotFound, NotAllowed and TemplateError."""
        await to_thread.run_sync(removed, self.own(name).folder)
        await self._until_seen()

    async def set_preview(self, name: str, asset: str, owner: str) -> None:
        """A small copy of this picture stands for an own template. Raises NotFound, NotAllowed and TemplateError."""
        await self._keep_preview(self.own(name).folder, [asset], owner)

    async def preview(self, name: str) -> bytes:
        """The WebP that stands for a template. Raises NotFound."""
        folder = self._workbench.catalogue.get(name).folder
        if (data := await to_thread.run_sync(read_preview, folder)) is None:
            raise NotFound("This template has no preview.", hint="Put a preview.webp of at most 1 MB into its folder.")
        return data

    async def pictures(self, name: str, owner: str) -> list[Asset]:
        """The newest pictures that a person made with a template."""
        jobs = await self._workbench.store.list(owner, template=name, limit=_MOST_PICTURES)
        found = [asset for job in jobs for asset in job.assets if asset.mime.startswith("image/")]
        return found[:_MOST_PICTURES]

    def own(self, name: str) -> Template:
        """The template of this id. Raises NotFound, and NotAllowed for a shipped one."""
        template = self._workbench.catalogue.get(name)
        if template.shipped:
            raise NotAllowed(f"{name} came with the workbench.", hint="Make one of your own of it, and change that.")
        return template

    def _folder(self, name: str) -> Path:
        """The folder of templates that one of this id belongs into: where it is, else the first."""
        there = self._workbench.catalogue.templates.get(name)
        return self._workbench.settings.template_folders[0] if there is None or there.shipped else there.folder.parent

    async def _keep_preview(self, folder: Path, assets: Sequence[str], owner: str) -> None:
        for each in assets:
            asset = await self._workbench.asset(each, owner)
            if asset.mime.startswith("image/"):
                await kept_preview(folder, await self._workbench.read(asset))

    async def _until_seen(self) -> None:
        """The catalogue looks once a second; whoever saved something must find it there."""
        folders = (shipped_folder(), *self._workbench.settings.template_folders)
        fingerprint = await to_thread.run_sync(Catalogue.fingerprint, folders)
        with anyio.move_on_after(_SEEN_SECONDS):
            while self._workbench.catalogue.fingerprint_seen != fingerprint:  # noqa: ASYNC110 - it tells nobody
                await anyio.sleep(0.05)


def _whole(draft: Draft) -> Template:
    """The template that a draft is. Raises TemplateError with its first problem."""
    template, problems = draft.looked_over()
    if template is None:
        raise TemplateError(problems[0].told, hint="Mend what is marked first.")
    return template


async def _imported(data: bytes, title: str, infos: Sequence[ObjectInfo], *, may_lack: bool = False) -> Imported:
    """For the first ComfyUI that can take it; what the first one refused is told when none can."""
    refusal: WorkbenchError | None = None
    for info, lacking in [(info, False) for info in infos] + [(info, True) for info in infos if may_lack]:
        try:
            read = partial(import_workflow, data, name=title, object_info=info, may_lack=lacking)
            return await to_thread.run_sync(read)
        except WorkbenchError as failure:
            refusal = refusal or failure
        except (ValidationError, RecursionError):
            raise ConversionError(
                "The workflow file is damaged.", hint="Open it in ComfyUI and save it again."
            ) from None
    assert refusal is not None
    raise refusal


def _value(parameter: Parameter, text: str) -> str | None:
    """What was typed; None where nothing was and that is no value."""
    return text if text or (parameter.type == "text" and not parameter.required) else None


def _free(name: str, draft: Draft) -> str:
    taken = {row.name for row in draft.rows}
    wanted = _NOT_SETTABLE.sub("_", name.lower()).strip("_")[:28]
    wanted = wanted if wanted[:1].isalpha() else f"value_{wanted}"[:28].strip("_")
    return next(each for each in (wanted, *(f"{wanted}_{number}" for number in range(2, 200))) if each not in taken)


def _new_id() -> str:
    return f"{int(time.time() * 1000):013d}{secrets.token_hex(4)}"


def _expired(name: str) -> bool:
    return int(name[:13]) / 1000 < time.time() - _SECONDS
