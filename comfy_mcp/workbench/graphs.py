"""Graphs of one's own as jobs: checked for all that a template promises by itself, then queued like any other.

Owns the order of the checks; nothing here reaches a backend's queue. What a graph may hold is in `workflows.allowed`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from anyio import to_thread

from comfy_mcp.errors import MissingModel, MissingNode, NotFound, WorkbenchError, WorkflowRejected
from comfy_mcp.jobs import GRAPH, Asset, BoundWorkflow, Graph, Job, Upload
from comfy_mcp.store import NewJob
from comfy_mcp.tasks import to_the_end
from comfy_mcp.workflows import (
    ObjectInfo,
    check,
    graph_in,
    needs_of,
    pictures_in,
    refuse_paths,
    refuse_unusual,
)

if TYPE_CHECKING:
    from comfy_mcp.workbench.workbench import Workbench

__all__ = ["Graphs", "asset_named", "file_name"]

_FILE_NAME = re.compile(r"([A-Za-z0-9_-]{1,64})\.[a-z0-9]{1,8}", re.ASCII)


def file_name(asset: Asset) -> str:
    """What a front end with graphs calls an asset: its id with the suffix of its type."""
    return f"{asset.id}.{asset.name.rpartition('.')[2]}"


def asset_named(name: str) -> str:
    """The id of the asset that is called so. Raises NotFound for what no asset is called."""
    found = _FILE_NAME.fullmatch(name)
    if found is None:
        raise NotFound("There is no such picture.", hint="Give a name that was answered.")
    return found[1]


class Graphs:
    """The graphs of a workbench."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench

    async def submit(self, told: object, owner: str) -> Job:
        """Check a graph, as JSON that was read strictly, and queue it.

        A file that a node loads is named by the asset of this owner (`asset_named`). What the nodes save is kept by us,
        as with templates; `FILE` outputs of the job tell which node made what.

        Raises:
            TemplateError: no graph in API format, more than 2 000 nodes, broken links, or a circle.
            NotAllowed: a node class that graphs may not hold.
            MissingNode, MissingModel, WorkflowRejected: it does not fit any ComfyUI, or names a file that it may not.
            BackendUnavailable: no ComfyUI answers, or ever did; nothing was accepted.
            Overloaded, StorageUnavailable: the queue is full, or the disk refuses.
        """
        workbench = self._workbench
        graph = await to_thread.run_sync(graph_in, told, "The prompt")
        refuse_unusual(graph, workbench.settings.graph_nodes)
        try:
            new = await self._accepted(graph, owner, await workbench.pool.object_infos())
        except (MissingModel, MissingNode):
            # A model or a node pack may have been added since ComfyUI was asked.
            new = await self._accepted(graph, owner, await workbench.pool.object_infos(fresh=True))
        job = await to_the_end(workbench.store.enqueue(new))
        workbench.notify()
        return job

    async def count(self, owner: str) -> int:
        """How many graphs of this owner wait or run."""
        return await self._workbench.store.count(owner, GRAPH)

    async def active(self, owner: str, *, limit: int) -> Sequence[Job]:
        """The graphs of this owner that run, then those that wait, oldest first; without their places."""
        return await self._workbench.store.active(owner, template=GRAPH, limit=limit)

    async def newest(self, owner: str, *, limit: int) -> Sequence[Job]:
        """The newest graphs of this owner, the newest first."""
        return await self._workbench.store.list(owner, template=GRAPH, limit=limit)

    async def _accepted(self, graph: Graph, owner: str, infos: list[ObjectInfo]) -> NewJob:
        """For the first ComfyUI that could run it; what the first one refused is told when none can."""
        refusal: WorkbenchError | None = None
        for info in infos:
            try:
                return await self._new(graph, owner, info)
            except WorkbenchError as failure:
                refusal = refusal or failure
        assert refusal is not None
        raise refusal

    async def _new(self, graph: Graph, owner: str, info: ObjectInfo) -> NewJob:
        info.require(content["class_type"] for content in graph.values())
        graph = _without_nothing(graph, info)
        refuse_paths(graph, info)
        bound = BoundWorkflow(graph, {}, await self._uploads(graph, owner, info))
        check(bound, info)
        needs = needs_of(bound, info)
        return NewJob(
            owner=owner,
            template=GRAPH,
            style=None,
            bound=bound,
            model=needs.model,
            needs=needs.names,
            expires_in=self._workbench.settings.queue_expiry,
        )

    async def _uploads(self, graph: Graph, owner: str, info: ObjectInfo) -> tuple[Upload, ...]:
        return tuple(
            [
                Upload(await self._own(name, owner, *places[0]), places)
                for name, places in pictures_in(graph, info).items()
            ]
        )

    async def _own(self, name: str, owner: str, node: str, input_name: str) -> str:
        """The id of the picture that is named so; only pictures of this owner are."""
        try:
            asset = await self._workbench.asset(asset_named(name), owner)
            if not asset.mime.startswith("image/"):
                raise NotFound("It is no picture.")
        except NotFound as failure:
            raise WorkflowRejected(
                f"There is no picture {name[:64]!r} (node {node}).",
                hint="Upload it first and give the name that was answered.",
                node=node,
                input=input_name,
            ) from failure
        return asset.id


def _without_nothing(graph: Graph, info: ObjectInfo) -> Graph:
    """Texts that were not given are empty: Open WebUI sends null for a negative prompt that nobody wrote."""
    filled: Graph = {}
    for node, content in graph.items():
        inputs: dict[str, Any] = content["inputs"]
        texts = {told.name for told in info.node(content["class_type"]).unfolded(inputs) if told.type == "STRING"}
        given = {name: "" if value is None and name in texts else value for name, value in inputs.items()}
        filled[node] = {**content, "inputs": given}
    return filled
