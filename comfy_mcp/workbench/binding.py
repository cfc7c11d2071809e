"""From what a person asked for to a job that can be stored: bound, checked, and told what it needs.

Owns the order of the checks; nothing here reaches a backend's queue.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from comfy_mcp.backends import Pool
from comfy_mcp.errors import InvalidParameter, MissingModel, MissingNode, NotFound, WorkbenchError
from comfy_mcp.jobs import Asset, JobRequest
from comfy_mcp.store import Idempotency, JobStore, NewJob
from comfy_mcp.workbench.settling import Laid, settled
from comfy_mcp.workflows import Catalogue, ObjectInfo, Style, Template, bind, check, needs_of, random_seed

__all__ = ["MOST_PRIORITY", "Accepting", "check_schedule", "idempotency", "own_pictures", "picture_named"]

MOST_PRIORITY = 10
_STAND_IN = "picture"


def idempotency(request: JobRequest, key: str) -> Idempotency:
    """The key with a fingerprint of what is asked for; when it may run is no part of that."""
    values = dict(request.values if request.asked is None else request.asked)
    asked = {"template": request.template, "values": values, "style": request.style}
    if request.preset is not None:
        asked["preset"] = request.preset
    return Idempotency(key, hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest())


@dataclass(frozen=True, slots=True)
class Accepting:
    """What requests are judged by; ``expires_in`` holds for those that name none."""

    catalogue: Catalogue
    store: JobStore
    pool: Pool
    expires_in: float
    locked: Mapping[str, Mapping[str, Any]]

    async def accepted(self, request: JobRequest, pictures: Collection[str] = ()) -> NewJob:
        """The job as it will run; raises as `Workbench.submit` does. For the parameters ``pictures`` it stands in that
        there will be some: that only checks the rest."""
        template = self.catalogue.get(request.template)
        check_schedule(request, self.pool)
        told = await settled(template, request, self.store, self.locked)
        named = [parameter for parameter in template.pictures if parameter not in pictures]
        told.arguments = await own_pictures(named, told.arguments, request.owner, self.store)
        told.arguments |= dict.fromkeys(pictures, _STAND_IN)
        while True:
            try:
                return await self._bound(request, template, told.laid())
            except InvalidParameter as failure:
                if not told.without(failure):
                    raise

    async def _bound(self, request: JobRequest, template: Template, told: Laid) -> NewJob:
        style = self._style(told)
        try:
            return self._bound_for(request, template, told, style, await self.pool.object_infos())
        except (InvalidParameter, MissingModel, MissingNode):
            # A model or a node pack may have been added since ComfyUI was asked.
            return self._bound_for(request, template, told, style, await self.pool.object_infos(fresh=True))

    def _style(self, told: Laid) -> Style | None:
        try:
            return self.catalogue.style(told.style) if told.style else None
        except NotFound as failure:
            if "style" in told.whose:
                raise InvalidParameter("style", failure.message, hint=failure.hint) from None
            raise

    def _bound_for(
        self, request: JobRequest, template: Template, told: Laid, style: Style | None, infos: list[ObjectInfo]
    ) -> NewJob:
        """Bound for the first ComfyUI that could run it; what the first one refused is told when none can."""
        refusal: WorkbenchError | None = None
        for info in infos:
            try:
                return self._new(request, template, told, style, info)
            except WorkbenchError as failure:
                refusal = refusal or failure
        assert refusal is not None
        raise refusal

    def _new(
        self, request: JobRequest, template: Template, told: Laid, style: Style | None, info: ObjectInfo
    ) -> NewJob:
        draw = random_seed if request.drawn is None else lambda: request.drawn or 0
        bound = bind(template, told.values, style=style, around=told.around, object_info=info, draw_seed=draw)
        check(bound, info)
        needs = needs_of(bound, info)
        return NewJob(
            owner=request.owner,
            template=template.id,
            style=told.style,
            bound=bound,
            warnings=(*told.notes, *bound.warnings),
            priority=request.priority,
            model=needs.model,
            needs=needs.names | {f"tag:{tag}" for tag in request.tags},
            expires_in=request.expires_in or self.expires_in,
        )


def check_schedule(request: JobRequest, pool: Pool) -> None:
    """Whether it can ever be its turn. Raises InvalidParameter."""
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


async def own_pictures(
    parameters: Iterable[str], given: Mapping[str, Any], owner: str, store: JobStore
) -> dict[str, Any]:
    """The values with every picture of these parameters named by asset id; the id of a job stands for its first
    picture. Raises InvalidParameter for one that its owner does not have."""
    values = dict(given)
    for parameter in parameters:
        value = values.get(parameter)
        if isinstance(value, str) and value:
            try:
                values[parameter] = (await picture_named(value, owner, store)).id
            except NotFound as failure:
                raise InvalidParameter(
                    parameter,
                    f"{parameter}: there is no picture {value[:64]!r}.",
                    hint="Give the id of an earlier job or picture, or upload one first.",
                ) from failure
    return values


async def picture_named(name: str, owner: str | None, store: JobStore) -> Asset:
    """A picture by its own id, or the first of a job. Raises NotFound."""
    try:
        return await store.asset(name, owner)
    except NotFound:
        assets = (await store.get(name, owner)).assets
        if not assets:
            raise
        return assets[0]
