# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownLambdaType=false, reportUnknownParameterType=false
# Node classes and graphs are dynamic by their nature, here as in ComfyUI.
"""Running one validated graph: cache, progress, failure and interrupt, with ComfyUI's events in its order.

Owns what the last prompt made, and what is told of the running one. All of a prompt runs in one `asyncio.run`, in the
thread that calls `Execution.run`: nodes that wait go on beside those that work. Events go out through ``send``.
"""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from PIL import Image

from comfy_mcp.embedded.calling import Given, Made, at_work, collected, given_to, mapped, merged
from comfy_mcp.embedded.graph import Graph
from comfy_mcp.embedded.host import Host, Interrupted
from comfy_mcp.embedded.node import NodeClass
from comfy_mcp.embedded.order import DependencyCycle, Order
from comfy_mcp.embedded.progress import Progress
from comfy_mcp.embedded.signatures import signatures

__all__ = ["Execution", "Finished", "Job"]

Send = Callable[[str, dict[str, Any]], None]
SendPicture = Callable[[Image.Image, dict[str, Any]], None]

_MOST_TOLD = 10_000
"""Letters of an input that a failure tells; ComfyUI has no bound."""


@dataclass(frozen=True)
class Job:
    """A prompt in the queue."""

    number: float
    prompt_id: str
    graph: dict[str, Any]
    extra: dict[str, Any]
    outputs: list[str]

    @property
    def client(self) -> str | None:
        return self.extra.get("client_id")

    def listed(self) -> list[Any]:
        return [self.number, self.prompt_id, self.graph, self.extra, self.outputs]


@dataclass
class Finished:
    """How a prompt ended, as `/history` tells."""

    status: str = "success"
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])

    def entry(self, job: Job) -> dict[str, Any]:
        meta = {
            node: {"node_id": node, "display_node": node, "parent_node": None, "real_node_id": node}
            for node in self.outputs
        }
        status = {
            "status_str": self.status,
            "completed": self.status == "success",
            "messages": [list(message) for message in self.messages],
        }
        return {"prompt": job.listed(), "outputs": self.outputs, "status": status, "meta": meta}


class Execution:
    """Runs jobs one after the other, and keeps what the last one made.

    ``client`` and ``prompt_id`` are of the prompt that runs or was the last, ``node`` of the node that started last.
    """

    def __init__(self, classes: Mapping[str, NodeClass], host: Host, send: Send, send_picture: SendPicture) -> None:
        self.classes, self.host, self.send, self.send_picture = classes, host, send, send_picture
        self.made: dict[str, Made] = {}
        self.instances: dict[tuple[str, str], Any] = {}
        self.client: str | None = None
        self.prompt_id: str | None = None
        self.node: str | None = None
        self._run: _Run | None = None

    def forget(self) -> None:
        """Empty the cache, as `/free` asks."""
        self.made.clear()
        self.instances.clear()

    def run(self, job: Job) -> Finished:
        """Run a job to its end; never raises for what a node did."""
        self.client, self.prompt_id = job.client, job.prompt_id
        run = self._run = _Run(self, job)
        try:
            asyncio.run(run.to_the_end())
        except BaseException as failure:  # noqa: BLE001 - a node may even ask the process to end
            run.fail(failure)
        finally:
            self._run = self.node = None
        return run.finished

    def progress(self, value: float, maximum: float, preview: Image.Image | None, node: str | None) -> None:
        """A node did ``value`` of ``maximum``; without a name it is the one whose code calls. From any thread.

        Raises:
            Interrupted: the prompt is to stop.
        """
        self.host.raise_if_stopped()
        run, node = self._run, node or at_work.get() or self.node
        if run is not None and node is not None:
            run.stepped(node, value, maximum, preview)


class _Run:
    def __init__(self, execution: Execution, job: Job) -> None:
        self._execution, self._job, self._host = execution, job, execution.host
        self._graph = Graph(job.graph, execution.classes)
        self._order = Order(self._graph, lambda node: self._made(node) is not None)
        self._progress = Progress(job.prompt_id, lambda states: self._tell("progress_state", nodes=states))
        self._keys: dict[str, str] = {}
        self._executed: list[str] = []
        self._returned: dict[str, list[Any]] = {}
        self._watching: list[asyncio.Task[None]] = []
        self._node, self._given = "", Given()
        self.finished = Finished()
        self._host.prompt, self._host.extra = job.graph, job.extra.get("extra_pnginfo") or {}
        self._host.on_step = lambda value, maximum, preview: self.stepped(self._node, value, maximum, preview)
        self._host.on_frame = lambda picture: self._picture(self._node, picture, "image/png")
        self._host.previewed = 0.0

    def _tell(self, kind: str, **data: Any) -> None:
        told = {**data, "prompt_id": self._job.prompt_id}
        if kind.startswith("execution_"):
            told["timestamp"] = int(time.time() * 1000)
            self.finished.messages.append((kind, told))
        self._execution.send(kind, told)

    def _made(self, node: str) -> Made | None:
        return self._execution.made.get(self._keys.get(node, ""))

    async def to_the_end(self) -> None:
        self._tell("execution_start")
        self._keys = await signatures(self._graph, self._graph.ancestry(self._job.outputs), self._host)
        self._forget_the_rest()
        # Every node of the prompt with a hit is told, also one that only another hit would have needed.
        cached = [node for node in self._job.graph if self._made(node) is not None]
        self._tell("execution_cached", nodes=cached)
        try:
            await self._run_all()
        except Interrupted:
            self.finished.status = "error"
            where = {"node_id": self._node, "node_type": self._graph.class_name(self._node)}
            self._tell("execution_interrupted", **where, executed=self._executed)
        except (Exception, SystemExit) as failure:  # noqa: BLE001 - a node may raise anything; it ends this prompt alone
            self.fail(failure)
        else:
            self._tell("execution_success")
        shown = {node: made.ui for node in self._keys if (made := self._made(node)) is not None}
        self.finished.outputs = {node: ui for node, ui in shown.items() if ui is not None}

    def _forget_the_rest(self) -> None:
        made, instances = self._execution.made, self._execution.instances
        for stale in set(made) - set(self._keys.values()):
            del made[stale]
        for stale in set(instances) - {(node, self._graph.class_name(node)) for node in self._job.graph}:
            del instances[stale]

    async def _run_all(self) -> None:
        for node in self._job.outputs:
            self._order.add(node)
        while not self._order.empty:
            self._node = await self._order.next()
            if await self._step(self._node):
                self._progress.finish(self._node)
                self._order.done(self._node)

    async def _step(self, node: str) -> bool:
        """Take a node as far as it goes: whether it is done. It is not while tasks of it run."""
        made = self._made(node)
        if made is not None:
            self._tell("executed", node=node, display_node=node, output=made.ui)
            return True
        self._given = Given()
        if node in self._returned:
            returned = collected(self._returned.pop(node))
        else:
            returned = await self._call(node)
            if tasks := [each for each in returned if isinstance(each, asyncio.Task)]:
                self._returned[node] = returned
                self._watching.append(asyncio.create_task(_when_done(tasks, self._order.hold(node))))
                return False
        made = merged(returned, self._graph.class_of(node))
        if made.ui is not None:
            self._tell("executed", node=node, display_node=node, output=made.ui)
        self._execution.made[self._keys[node]] = made
        self._executed.append(node)
        return True

    async def _call(self, node: str) -> list[Any]:
        cls = self._graph.class_of(node)
        self._progress.start(node)
        hidden = {
            "PROMPT": self._job.graph,
            "EXTRA_PNGINFO": self._job.extra.get("extra_pnginfo"),
            "UNIQUE_ID": node,
        }
        self._given = given_to(cls, self._graph.inputs(node), hidden, self._made)
        self._execution.node = node
        self._tell("executing", node=node, display_node=node)
        instance = self._instance(node, cls)
        self._host.procedural = self._graph.is_procedural(node)
        return await mapped(instance, cls.FUNCTION, self._given, node, self._host.raise_if_stopped)

    def _instance(self, node: str, cls: NodeClass) -> Any:
        """A node keeps its object for as long as prompts have it."""
        key = (node, self._graph.class_name(node))
        if key not in self._execution.instances:
            instance = self._execution.instances[key] = cls()
            if getattr(cls, "NEEDS_HOST", False):
                instance.host = self._host
        return self._execution.instances[key]

    def stepped(self, node: str, value: float, maximum: float, preview: Image.Image | None) -> None:
        """A node got on; from any thread."""
        self._progress.update(node, value, maximum)
        if preview is not None:
            self._picture(node, preview, "image/jpeg")
        self._tell("progress", value=value, max=maximum, node=node)

    def _picture(self, node: str, picture: Image.Image, mime: str) -> None:
        told = {"node_id": node, "prompt_id": self._job.prompt_id, "image_type": mime}
        more = {"display_node_id": node, "parent_node_id": None, "real_node_id": node}
        self._execution.send_picture(picture, {**told, **more})

    def fail(self, failure: BaseException) -> None:
        """Tell of a failure: of the node at work, or of the one that cannot start."""
        self.finished.status = "error"
        node, name, trace = self._node, _full_name(type(failure)), traceback.format_tb(failure.__traceback__)
        if isinstance(failure, DependencyCycle):
            node, name, trace = failure.node, "graph.DependencyCycleError", []
        self._tell(
            "execution_error",
            node_id=node,
            node_type=self._graph.class_name(node) if node else "",
            executed=self._executed,
            exception_message=f"{failure}\n",
            exception_type=name,
            traceback=trace,
            current_inputs={name: [_told(value) for value in values] for name, values in self._given.items()},
            current_outputs=list(self._job.graph),
        )


async def _when_done(tasks: list[asyncio.Task[Any]], release: Callable[[], None]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
    release()


def _full_name(cls: type[Any]) -> str:
    return cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"


def _told(value: Any) -> Any:
    """An input as a failure tells it."""
    return value if value is None or isinstance(value, int | float | bool | str) else str(value)[:_MOST_TOLD]
