"""From what a person asked for to a job that can be stored: bound, checked, and told what it needs.

Owns the order of the checks; nothing here reaches a backend's queue.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from comfy_mcp.backends import Pool
from comfy_mcp.errors import InvalidParameter, MissingModel, MissingNode, NotFound, WorkbenchError
from comfy_mcp.jobs import JobRequest
from comfy_mcp.store import Idempotency, JobStore, NewJob
from comfy_mcp.workflows import Catalogue, ObjectInfo, Style, Template, bind, check, needs_of

__all__ = ["MOST_PRIORITY", "accepted", "idempotency"]

MOST_PRIORITY = 10


def idempotency(request: JobRequest, key: str) -> Idempotency:
    """The key with a fingerprint of what is asked for; when it may run is no part of that."""
    asked = {"template": request.template, "values": dict(request.values), "style": request.style}
    return Idempotency(key, hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest())


async def accepted(request: JobRequest, catalogue: Catalogue, store: JobStore, pool: Pool, expires_in: float) -> NewJob:
    """The job as it will run; raises as `Workbench.submit` does. ``expires_in`` is what holds when it names none."""
    template = catalogue.get(request.template)
    style = catalogue.style(request.style) if request.style else None
    _check_schedule(request, pool)
    values = await _own_pictures(template, request, store)
    try:
        return _bound(request, template, values, style, await pool.object_infos(), expires_in)
    except (InvalidParameter, MissingModel, MissingNode):
        # A model or a node pack may have been added since ComfyUI was asked.
        return _bound(request, template, values, style, await pool.object_infos(fresh=True), expires_in)


def _bound(
    request: JobRequest,
    template: Template,
    values: Mapping[str, Any],
    style: Style | None,
    infos: list[ObjectInfo],
    expires_in: float,
) -> NewJob:
    """Bound for the first ComfyUI that could run it; what the first one refused is told when none can."""
    refusal: WorkbenchError | None = None
    for info in infos:
        try:
            bound = bind(template, values, style=style, object_info=info)
            check(bound, info)
        except WorkbenchError as failure:
            refusal = refusal or failure
            continue
        needs = needs_of(bound, info)
        return NewJob(
            owner=request.owner,
            template=template.id,
            style=request.style,
            bound=bound,
            warnings=bound.warnings,
            priority=request.priority,
            model=needs.model,
            needs=needs.names | {f"tag:{tag}" for tag in request.tags},
            expires_in=request.expires_in or expires_in,
        )
    assert refusal is not None
    raise refusal


def _check_schedule(request: JobRequest, pool: Pool) -> None:
    if not -MOST_PRIORITY <= request.priority <= MOST_PRIORITY:
        raise InvalidParameter("priority", "priority is out of range.", hint="Give -10 (last) to 10 (first).")
    if request.expires_in is not None and not request.expires_in > 0:
        raise InvalidParameter("expires_in", "expires_in is not a time.", hint="Give seconds, more than 0.")
    if request.tags and not any(set(request.tags) <= member.config.tags for member in pool.members):
        known = sorted({tag for member in pool.members for tag in member.config.tags})
        raise InvalidParameter(
            "tags",
            f"No backend has the tags {', '.join(request.tags)}.",
            hint=f"Known: {', '.join(known)}." if known else "Give backends tags in the settings file first.",
        )


async def _own_pictures(template: Template, request: JobRequest, store: JobStore) -> dict[str, Any]:
    """The values with every picture named by asset id; the id of a job stands for its first picture."""
    values = dict(request.values)
    for parameter in template.pictures:
        value = values.get(parameter)
        if isinstance(value, str) and value:
            try:
                values[parameter] = await _picture(value, request.owner, store)
            except NotFound as failure:
                raise InvalidParameter(
                    parameter,
                    f"{parameter}: there is no picture {value[:64]!r}.",
                    hint="Give the id of an earlier job or picture, or upload one first.",
                ) from failure
    return values


async def _picture(name: str, owner: str, store: JobStore) -> str:
    try:
        return (await store.asset(name, owner)).id
    except NotFound:
        assets = (await store.get(name, owner)).assets
        if not assets:
            raise
        return assets[0].id
