"""What works, what does not, and what to do: the checks behind `comfy-workbench doctor`.

Owns the checks, not their printing. Changes nothing but a probe file in the storage.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import StrEnum
from importlib import metadata
from typing import Any

from comfy_mcp.backends import ComfyUIBackend, LLMBackend, Member
from comfy_mcp.errors import BackendError, BackendUnavailable, SettingsError, WorkbenchError
from comfy_mcp.jobs import JobRequest
from comfy_mcp.settings import Settings, is_loopback, settings_file
from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import ObjectInfo, bind, check
from llm_bridge.providers import State

__all__ = ["Finding", "Verdict", "examine"]

LEAST_COMFYUI = (0, 3, 56)
"""The first version that interrupts a job by its id, so that a cancel never hits a neighbour."""


class Verdict(StrEnum):
    OK = "ok"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """``what`` was looked at, what was found, and what to do about it."""

    what: str
    verdict: Verdict
    told: str


async def examine(settings: Settings) -> AsyncGenerator[Finding]:
    """Every check, one after the other; a check that fails does not stop the next."""
    yield _settings(settings)
    yield _package_owners()
    async with Workbench.open(settings, dispatch=False) as workbench:
        yield Finding("data", Verdict.OK, "The job database opens.")
        yield await _storage(workbench)
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
            yield Finding(name, Verdict.NOTE, f"It is {mode}: comfy-workbench backends resume {name}")
        for diagnostic in workbench.catalogue.diagnostics:
            yield Finding("templates", Verdict.BAD if diagnostic.fatal else Verdict.NOTE, str(diagnostic))
        for name in workbench.catalogue.templates if info is not None else ():
            assert info is not None
            yield _template(workbench, name, info)


def _settings(settings: Settings) -> Finding:
    if not is_loopback(settings.host) and settings.token is None:
        failure = SettingsError(f"Listening on {settings.host} needs WORKBENCH_TOKEN.")
        return Finding("settings", Verdict.BAD, str(failure))
    source = settings_file()
    where = str(source) if source.exists() else "the environment and defaults"
    return Finding("settings", Verdict.OK, f"Read from {where}.")


def _package_owners() -> Finding:
    """Another published project installs the import package `comfy_mcp` too; the two overwrite each other."""
    owners = metadata.packages_distributions().get("comfy_mcp", [])
    others = sorted(set(owners) - {"comfyui-workbench"})
    if others:
        told = f"{', '.join(others)} also installs the package comfy_mcp. Use separate environments, and reinstall."
        return Finding("packages", Verdict.BAD, told)
    return Finding("packages", Verdict.OK, "comfy_mcp belongs to comfyui-workbench alone.")


async def _storage(workbench: Workbench) -> Finding:
    try:
        await workbench.assets.check()
    except WorkbenchError as failure:
        return Finding("assets", Verdict.BAD, str(failure))
    return Finding("assets", Verdict.OK, f"Pictures are kept in {workbench.settings.assets!r}.")


def _version(name: str, stats: dict[str, Any]) -> Finding:
    system = stats.get("system", {})
    version = str(system.get("comfyui_version", ""))
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    if engine := system.get("engine"):
        return Finding(name, Verdict.NOTE, f"This is the {engine}: procedural previews, no diffusion model.")
    if numbers < LEAST_COMFYUI:
        least = ".".join(map(str, LEAST_COMFYUI))
        return Finding(name, Verdict.BAD, f"ComfyUI {version or 'of unknown version'} is too old: update to {least}.")
    return Finding(name, Verdict.OK, f"ComfyUI {version} answers.")


def _down(member: Member, failure: BackendError) -> Finding:
    if member.config.assumed and isinstance(failure, BackendUnavailable):
        told = f"None answers at {member.config.url}: there are texts, no pictures. WORKBENCH_COMFYUI_URL names one."
        return Finding(member.name, Verdict.NOTE, told)
    return Finding(member.name, Verdict.BAD, str(failure))


async def _llm_server(name: str, backend: LLMBackend) -> Finding:
    try:
        models = await backend.models(fresh=True)
        title = (await backend.client.dialect()).title
    except WorkbenchError as failure:
        return Finding(name, Verdict.BAD, str(failure))
    loaded = sum(model.state is State.LOADED for model in models)
    return Finding(name, Verdict.OK, f"{title} answers: {len(models)} models, {loaded} known to be loaded.")


def _template(workbench: Workbench, name: str, info: ObjectInfo) -> Finding:
    """Whether the template could run now: pictures aside, its defaults are bound and checked."""
    template = workbench.catalogue.get(name)
    values = dict.fromkeys(template.required, "probe")
    try:
        check(bind(template, JobRequest(name, values).values, style=None, object_info=info), info)
    except WorkbenchError as failure:
        return Finding(name, Verdict.NOTE, str(failure))
    return Finding(name, Verdict.OK, "Ready.")
