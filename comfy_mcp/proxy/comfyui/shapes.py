"""Jobs in the shapes of ComfyUI's queue and history, and how a job ended as the events that ComfyUI sends then.

Pure. The shapes are those of server.py and execution.py of ComfyUI 0.3.64. Used by the routes and the socket.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from comfy_mcp.jobs import FILE, GRAPH, Asset, Job, JobState
from comfy_mcp.workbench.graphs import file_name

__all__ = ["Event", "ending", "entry_of", "is_ours", "number_of", "queued", "started"]

Event = tuple[str, dict[str, Any]]
"""The type of a message, and its data."""


def is_ours(job: Job) -> bool:
    """Whether it came through this front door."""
    return job.template == GRAPH


def number_of(job: Job) -> int:
    """What ComfyUI orders its queue by: later jobs have larger ones."""
    return _milliseconds(job.created)


def queued(job: Job) -> list[Any]:
    """The job as an entry of the queue: number, id, graph, what came with it, and the nodes to run."""
    return [number_of(job), job.id, job.bound.graph, {}, list(_files_of(job))]


def entry_of(job: Job) -> dict[str, Any]:
    """A job that ended, as the history has it."""
    kind, data = _outcome(job)
    done = job.state is JobState.SUCCEEDED
    messages = [*started(job), (kind, data | {"timestamp": _milliseconds(job.finished or job.created)})]
    return {
        "prompt": queued(job),
        "outputs": _outputs_of(job),
        "status": {"status_str": "success" if done else "error", "completed": done, "messages": messages},
        "meta": {},
    }


def started(job: Job) -> list[Event]:
    """That a job began; what its ComfyUI had cached is not told."""
    at = {"prompt_id": job.id, "timestamp": _milliseconds(job.started or job.created)}
    return [("execution_start", at), ("execution_cached", {"nodes": [], **at})]


def ending(job: Job) -> list[Event]:
    """What is told when a job has ended: what came out, how it ended, and that no node is at work any more.

    The last one is what Open WebUI waits for (`utils/images/comfyui.py`), also when the job failed.
    """
    made = [
        ("executed", {"node": node, "display_node": node, "output": output, "prompt_id": job.id})
        for node, output in _outputs_of(job).items()
    ]
    at = {"timestamp": _milliseconds(job.finished or job.created)}
    kind, data = _outcome(job)
    return [*made, (kind, data | at), ("executing", {"node": None, "display_node": None, "prompt_id": job.id})]


def _outcome(job: Job) -> Event:
    if job.state is JobState.SUCCEEDED:
        return "execution_success", {"prompt_id": job.id}
    details: Mapping[str, Any] = {} if job.error is None else job.error.details
    where = {"prompt_id": job.id, "node_id": details.get("node"), "node_type": details.get("node_class")}
    if job.state is JobState.CANCELLED:
        return "execution_interrupted", {**where, "executed": []}
    told = "The job was not made." if job.error is None else job.error.message
    failed = {"exception_message": told, "exception_type": details.get("exception") or (job.error and job.error.code)}
    return "execution_error", {
        **where,
        "executed": [],
        **failed,
        "traceback": [],
        "current_inputs": {},
        "current_outputs": [],
    }


def _outputs_of(job: Job) -> dict[str, dict[str, list[Any]]]:
    """What each node made; a node inside another one counts as that."""
    outputs: dict[str, dict[str, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for node, files in _files_of(job).items():
        outputs[node]["images"] += files
    for output in job.outputs:
        if output.kind != FILE:
            outputs[_outer(job, output.node)][output.kind].append(output.value)
    return {node: dict(made) for node, made in outputs.items()}


def _files_of(job: Job) -> dict[str, list[dict[str, str]]]:
    assets = {asset.id: asset for asset in job.assets}
    files: dict[str, list[dict[str, str]]] = defaultdict(list)
    for output in job.outputs:
        if output.kind == FILE and output.value in assets:
            node = _outer(job, output.node)
            files[node].append(_file(assets[output.value], job.bound.graph.get(node, {}).get("class_type", "")))
    return files


def _outer(job: Job, node: str) -> str:
    return node if node in job.bound.graph else node.partition(".")[0]


def _file(asset: Asset, class_type: str) -> dict[str, str]:
    kept = "temp" if class_type == "PreviewImage" else "output"
    return {"filename": file_name(asset), "subfolder": "", "type": kept}


def _milliseconds(when: datetime) -> int:
    return int(when.timestamp() * 1000)
