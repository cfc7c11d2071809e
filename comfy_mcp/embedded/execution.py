# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownLambdaType=false, reportUnknownParameterType=false
# Node classes and graphs are dynamic by their nature, here as in ComfyUI.
"""Running one validated graph: order, cache, progress, failure and interrupt, with ComfyUI's events in its order.

Owns the cache, which holds what the last prompt made, by class, inputs and ancestors. Runs in a worker thread; events
go out through ``send``.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from PIL import Image

from comfy_mcp.embedded.host import Host, Interrupted
from comfy_mcp.embedded.node import NodeClass

__all__ = ["Execution", "Finished", "Job"]

Send = Callable[[str, dict[str, Any]], None]
SendPicture = Callable[[Image.Image, dict[str, Any]], None]


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


@dataclass(frozen=True)
class _Made:
    outputs: tuple[Any, ...]
    ui: dict[str, Any] | None


class Execution:
    """Runs jobs one after the other, and keeps what the last one made."""

    def __init__(self, nodes: Mapping[str, NodeClass], host: Host, send: Send, send_picture: SendPicture) -> None:
        self.nodes, self.host, self.send, self.send_picture = nodes, host, send, send_picture
        self.cache: dict[str, _Made] = {}

    def forget(self) -> None:
        """Empty the cache, as `/free` asks."""
        self.cache.clear()

    def run(self, job: Job) -> Finished:
        """Run a job to its end; never raises for what a node did."""
        return _Run(self, job).to_the_end()


class _Run:
    def __init__(self, execution: Execution, job: Job) -> None:
        self._job, self._nodes, self._host, self._cache = job, execution.nodes, execution.host, execution.cache
        self._send, self._send_picture = execution.send, execution.send_picture
        self._finished = Finished()
        self._keys: dict[str, str] = {}
        self._executed: list[str] = []
        self._states: dict[str, dict[str, Any]] = {}
        self._node = ""
        self._host.prompt, self._host.extra = job.graph, job.extra.get("extra_pnginfo") or {}
        self._host.on_step, self._host.on_frame, self._host.previewed = self._stepped, self._framed, 0.0

    def _tell(self, kind: str, **data: Any) -> None:
        told = {**data, "prompt_id": self._job.prompt_id}
        if kind.startswith("execution_"):
            told["timestamp"] = int(time.time() * 1000)
            self._finished.messages.append((kind, told))
        self._send(kind, told)

    def to_the_end(self) -> Finished:
        self._tell("execution_start")
        order = self._order()
        keys = {node: self._key(node) for node in order}
        for stale in set(self._cache) - set(keys.values()):
            del self._cache[stale]
        # Every node of the prompt with a hit is told, also one that only another hit would have needed.
        self._tell("execution_cached", nodes=[node for node in self._job.graph if keys.get(node) in self._cache])
        needed = self._needed()
        try:
            for node in order:
                if node in needed:
                    self._run_node(node)
        except Interrupted:
            self._finished.status = "error"
            where = {"node_id": self._node, "node_type": self._class(self._node), "executed": self._executed}
            self._tell("execution_interrupted", **where)
        except Exception as failure:  # noqa: BLE001 - a node may raise anything; it ends this prompt alone
            self._finished.status = "error"
            self._failed(failure)
        else:
            self._tell("execution_success")
        return self._finished

    def _class(self, node: str) -> str:
        return str(self._job.graph[node]["class_type"])

    def _sources(self, node: str) -> list[str]:
        return [str(value[0]) for value in self._job.graph[node]["inputs"].values() if isinstance(value, list)]

    def _order(self) -> list[str]:
        """The nodes that the outputs need, sources first."""
        order: dict[str, None] = {}
        stack = [(node, False) for node in reversed(self._job.outputs)]
        while stack:
            node, sources_done = stack.pop()
            if node in order:
                continue
            if sources_done:
                order[node] = None
            else:
                stack.append((node, True))
                stack += [(source, False) for source in self._sources(node)]
        return list(order)

    def _key(self, node: str) -> str:
        """Class, inputs and ancestors; not the node's id, so that a renumbered graph still hits."""
        if node in self._keys:
            return self._keys[node]
        cls = self._nodes[self._class(node)]
        inputs = self._job.graph[node]["inputs"]
        parts = [
            (name, [self._key(str(value[0])), value[1]] if isinstance(value, list) else value)
            for name, value in sorted(inputs.items())
        ]
        told = json.dumps([self._class(node), parts, self._changed(cls, inputs)], default=str)
        self._keys[node] = hashlib.sha256(told.encode()).hexdigest()
        return self._keys[node]

    def _changed(self, cls: NodeClass, inputs: dict[str, Any]) -> Any:
        check = getattr(cls, "IS_CHANGED", None)
        if check is None:
            return None
        values = {name: value for name, value in inputs.items() if not isinstance(value, list)}
        if "host" in inspect.signature(check).parameters:
            values["host"] = self._host
        try:
            told = check(**values)
        except Exception:  # noqa: BLE001 - ComfyUI takes a failing check for "changed"
            told = math.nan
        return time.monotonic_ns() if isinstance(told, float) and math.isnan(told) else told

    def _needed(self) -> set[str]:
        """Whom somebody needs and who is not there: outputs always, others only for a consumer without a hit."""
        needed, stack = set[str](), list(self._job.outputs)
        while stack:
            node = stack.pop()
            if node not in needed:
                needed.add(node)
                stack += [] if self._keys[node] in self._cache else self._sources(node)
        return {node for node in needed if node in self._job.outputs or self._keys[node] not in self._cache}

    def _run_node(self, node: str) -> None:
        made = self._cache.get(self._keys[node])
        if made is not None:
            self._report(node, made)
            return
        if self._host.stop.is_set():
            self._node = node
            raise Interrupted
        self._node = node
        self._state(node, 0.0, 1.0, "running")
        self._tell("executing", node=node, display_node=node)
        made = self._call(node)
        self._cache[self._keys[node]] = made
        self._executed.append(node)
        self._report(node, made)

    def _report(self, node: str, made: _Made) -> None:
        if made.ui is not None:
            self._finished.outputs[node] = made.ui
            self._tell("executed", node=node, display_node=node, output=made.ui)
        maximum = self._states.get(node, {}).get("max", 1)
        if made.ui is not None or node == self._node:
            self._state(node, maximum, maximum, "finished")

    def _call(self, node: str) -> _Made:
        cls = self._nodes[self._class(node)]
        instance = cls()
        if getattr(cls, "NEEDS_HOST", False):
            instance.host = self._host
        self._host.procedural = self._is_procedural(node)
        result = getattr(instance, cls.FUNCTION)(**self._arguments(node, cls))
        if isinstance(result, dict):
            told = cast(dict[str, Any], result)
            return _Made(tuple(told.get("result", ())), told.get("ui"))
        return _Made(tuple(result), None)

    def _arguments(self, node: str, cls: NodeClass) -> dict[str, Any]:
        sections = cls.INPUT_TYPES()
        declared = {**sections.get("required", {}), **sections.get("optional", {})}
        found: dict[str, Any] = {}
        for name, value in self._job.graph[node]["inputs"].items():
            if name not in declared:
                continue
            if isinstance(value, list):
                link = cast(list[Any], value)
                found[name] = self._cache[self._keys[str(link[0])]].outputs[link[1]]
            else:
                found[name] = value
        hidden = {"PROMPT": self._job.graph, "EXTRA_PNGINFO": self._job.extra.get("extra_pnginfo"), "UNIQUE_ID": node}
        if not getattr(cls, "NEEDS_HOST", False):
            found |= {name: hidden.get(str(kind)) for name, kind in sections.get("hidden", {}).items()}
        return found

    def _is_procedural(self, node: str) -> bool:
        seen, stack = set[str](), [node]
        while stack:
            at = stack.pop()
            if at not in seen:
                seen.add(at)
                if getattr(self._nodes[self._class(at)], "PROCEDURAL", False):
                    return True
                stack += self._sources(at)
        return False

    def _state(self, node: str, value: float, maximum: float, state: str) -> None:
        self._states[node] = {
            "value": value,
            "max": maximum,
            "state": state,
            "node_id": node,
            "prompt_id": self._job.prompt_id,
            "display_node_id": node,
            "parent_node_id": None,
            "real_node_id": node,
        }
        self._tell("progress_state", nodes={key: dict(told) for key, told in self._states.items()})

    def _stepped(self, value: int, maximum: int, preview: Image.Image | None) -> None:
        node = self._node
        self._state(node, value, maximum, "running")
        if preview is not None:
            self._picture(preview, "image/jpeg")
        self._tell("progress", value=value, max=maximum, node=node)

    def _framed(self, picture: Image.Image) -> None:
        self._picture(picture, "image/png")

    def _picture(self, picture: Image.Image, mime: str) -> None:
        node = self._node
        told = {"node_id": node, "prompt_id": self._job.prompt_id, "image_type": mime}
        more = {"display_node_id": node, "parent_node_id": None, "real_node_id": node}
        self._send_picture(picture, {**told, **more})

    def _failed(self, failure: Exception) -> None:
        kind = type(failure)
        name = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        self._tell(
            "execution_error",
            node_id=self._node,
            node_type=self._class(self._node),
            executed=self._executed,
            exception_message=f"{failure}\n",
            exception_type=name,
            traceback=traceback.format_tb(failure.__traceback__),
            current_inputs={},
            current_outputs=list(self._job.graph),
        )
