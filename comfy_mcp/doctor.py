"""What works, what does not, and what to do: the checks behind `comfy-workbench doctor` and the page that shows them.

Owns the checks, not their printing. Changes nothing but a probe file in the storage.
"""

from __future__ import annotations

import platform
import re
import shutil
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import metadata
from pathlib import Path
from typing import Any

from anyio import to_thread

import comfy_mcp
from comfy_mcp.backends import ComfyUIBackend, LLMBackend, Member
from comfy_mcp.errors import BackendError, BackendUnavailable, WorkbenchError
from comfy_mcp.jobs import JobRequest
from comfy_mcp.settings import Settings, is_loopback, settings_file
from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import ObjectInfo, bind, check
from llm_bridge.providers import State

__all__ = ["Finding", "Verdict", "examine", "examine_running"]

_LITTLE_ROOM = 2 * 2**30
LEAST_COMFYUI = (0, 3, 56)
"""The first version that interrupts a job by its id, so that a cancel never hits a neighbour."""


class Verdict(StrEnum):
    OK = "ok"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """``what`` was looked at, what was found there, and the ``hint`` what to do about it; the ``values`` of both by
    name, for who says them in another language."""

    what: str
    verdict: Verdict
    told: str
    hint: str = ""
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __str__(self) -> str:
        told = f"{self.told} {self.hint}".strip()
        return told % self.values if self.values else told

    @classmethod
    def of(cls, what: str, verdict: Verdict, failure: WorkbenchError) -> Finding:
        return cls(what, verdict, failure.message, failure.hint)


async def examine(settings: Settings) -> AsyncGenerator[Finding]:
    """Every check, one after the other; a check that fails does not stop the next."""
    yield _settings(settings)
    async with Workbench.open(settings, dispatch=False) as workbench:
        async for finding in _checks(workbench):
            yield finding


async def examine_running(workbench: Workbench) -> AsyncGenerator[Finding]:
    """The same checks of the workbench that asks, and how it is itself."""
    yield _settings(workbench.settings)
    yield _dispatching(workbench)
    async for finding in _checks(workbench):
        yield finding


async def _checks(workbench: Workbench) -> AsyncGenerator[Finding]:
    yield await to_thread.run_sync(_package_owners)
    yield _versions()
    yield Finding("data", Verdict.OK, "The job database opens.")
    yield await to_thread.run_sync(_room, workbench.settings.data)
    yield await _storage(workbench)
    yield await _queue(workbench)
    info: ObjectInfo | None = None
    for member in workbench.pool.members:
        if isinstance(member.backend, ComfyUIBackend):
            try:
                yield _version(member.name, await member.backend.client.system_stats())
                info = info or await member.backend.object_info()
            except BackendError as failure:
                yield _down(member, failure)
        elif isinstance(member.backend, LLMBackend):
            yield await _llm_server(member.name, member.backend)
    for name, mode in (await workbench.store.modes()).items():
        hint = "comfy-workbench backends resume %(name)s"
        yield Finding(name, Verdict.NOTE, "It is %(mode)s.", hint, {"mode": str(mode), "name": name})
    for diagnostic in workbench.catalogue.diagnostics:
        yield Finding("templates", Verdict.BAD if diagnostic.fatal else Verdict.NOTE, str(diagnostic))
    for name in workbench.catalogue.templates if info is not None else ():
        assert info is not None
        yield _template(workbench, name, info)


def _settings(settings: Settings) -> Finding:
    if not is_loopback(settings.host) and settings.token is None:
        hint = "Set it, or make a token with: comfy-workbench token add NAME"
        return Finding(
            "settings", Verdict.BAD, "Listening on %(host)s needs WORKBENCH_TOKEN.", hint, {"host": settings.host}
        )
    source = settings_file()
    if not source.exists():
        return Finding("settings", Verdict.OK, "Read from the environment and defaults.")
    return Finding("settings", Verdict.OK, "Read from %(file)s.", values={"file": str(source)})


def _package_owners() -> Finding:
    """Another published project installs the import package `comfy_mcp` too; the two overwrite each other."""
    owners = metadata.packages_distributions().get("comfy_mcp", [])
    others = sorted(set(owners) - {"comfyui-workbench"})
    if others:
        told, hint = "%(others)s also installs the package comfy_mcp.", "Use separate environments, and reinstall."
        return Finding("packages", Verdict.BAD, told, hint, {"others": ", ".join(others)})
    return Finding("packages", Verdict.OK, "comfy_mcp belongs to comfyui-workbench alone.")


async def _storage(workbench: Workbench) -> Finding:
    try:
        await workbench.assets.check()
    except WorkbenchError as failure:
        return Finding.of("assets", Verdict.BAD, failure)
    return Finding(
        "assets", Verdict.OK, "Pictures are kept in %(place)s.", values={"place": repr(workbench.settings.assets)}
    )


def _versions() -> Finding:
    values = {"workbench": comfy_mcp.__version__, "python": platform.python_version()}
    return Finding("versions", Verdict.OK, "Workbench %(workbench)s on Python %(python)s.", values=values)


def _room(data: Path) -> Finding:
    """How much disk is left where the database and, unless set otherwise, the pictures are."""
    try:
        free = shutil.disk_usage(data).free
    except OSError as failure:
        told = "Its free space cannot be read: %(why)s."
        return Finding("disk", Verdict.BAD, told, values={"why": failure.strerror})
    if free < _LITTLE_ROOM:
        hint = "Delete pictures, or set WORKBENCH_DATA to a larger disk."
        told = "Only %(free)s GB are free for pictures and jobs."
        return Finding("disk", Verdict.NOTE, told, hint, {"free": f"{free / 2**30:.1f}"})
    return Finding("disk", Verdict.OK, "%(free)s GB are free.", values={"free": f"{free / 2**30:.0f}"})


def _dispatching(workbench: Workbench) -> Finding:
    if workbench.dispatching:
        return Finding("dispatcher", Verdict.OK, "This process hands out the jobs.")
    told = "Another process on this data folder hands out the jobs; this one takes over when it ends."
    return Finding("dispatcher", Verdict.NOTE, told)


async def _queue(workbench: Workbench) -> Finding:
    waiting = len(await workbench.store.active(limit=workbench.settings.max_queue))
    if waiting and (why := workbench.pool.standstill) is not None:
        told = "%(waiting)s jobs, and none can start: %(why)s"
        return Finding("queue", Verdict.BAD, told, values={"waiting": waiting, "why": why})
    if waiting:
        return Finding("queue", Verdict.OK, "%(waiting)s jobs run or wait.", values={"waiting": waiting})
    return Finding("queue", Verdict.OK, "Nothing waits.")


def _version(name: str, stats: dict[str, Any]) -> Finding:
    system = stats.get("system", {})
    version = str(system.get("comfyui_version", ""))
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    if engine := system.get("engine"):
        told = "This is the %(engine)s: procedural previews, no diffusion model."
        return Finding(name, Verdict.NOTE, told, values={"engine": engine})
    if numbers < LEAST_COMFYUI:
        least = ".".join(map(str, LEAST_COMFYUI))
        told = "ComfyUI %(version)s is too old: update to %(least)s."
        return Finding(name, Verdict.BAD, told, values={"version": version or "?", "least": least})
    return Finding(name, Verdict.OK, "ComfyUI %(version)s answers.", values={"version": version})


def _down(member: Member, failure: BackendError) -> Finding:
    if member.config.assumed and isinstance(failure, BackendUnavailable):
        told, hint = "None answers at %(url)s: there are texts, no pictures.", "WORKBENCH_COMFYUI_URL names one."
        return Finding(member.name, Verdict.NOTE, told, hint, {"url": member.config.url})
    return Finding.of(member.name, Verdict.BAD, failure)


async def _llm_server(name: str, backend: LLMBackend) -> Finding:
    try:
        models = await backend.models(fresh=True)
        title = (await backend.client.dialect()).title
    except WorkbenchError as failure:
        return Finding.of(name, Verdict.BAD, failure)
    loaded = sum(model.state is State.LOADED for model in models)
    told = "%(title)s answers: %(models)s models, %(loaded)s known to be loaded."
    return Finding(name, Verdict.OK, told, values={"title": title, "models": len(models), "loaded": loaded})


def _template(workbench: Workbench, name: str, info: ObjectInfo) -> Finding:
    """Whether the template could run now: pictures aside, its defaults are bound and checked."""
    template = workbench.catalogue.get(name)
    values = dict.fromkeys(template.required, "probe")
    try:
        check(bind(template, JobRequest(name, values).values, style=None, object_info=info), info)
    except WorkbenchError as failure:
        return Finding.of(name, Verdict.NOTE, failure)
    return Finding(name, Verdict.OK, "Ready.")
