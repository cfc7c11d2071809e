"""The engine: the queue, the worker that empties it, the history, and what is told to whom.

Owns the state of one server. The event loop owns everything but the running graph, which a worker thread runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from comfy_mcp.embedded.bodies import MOST_UPLOAD
from comfy_mcp.embedded.execution import Execution, Finished, Job
from comfy_mcp.embedded.host import Host
from comfy_mcp.embedded.ledger import Ledger
from comfy_mcp.embedded.node import NodeClass
from comfy_mcp.embedded.nodes_image import IMAGE_NODES
from comfy_mcp.embedded.nodes_model import MODEL_NODES
from comfy_mcp.embedded.nodes_sampling import SAMPLING_NODES
from comfy_mcp.embedded.pack_routes import RouteTable
from comfy_mcp.embedded.packs import load_packs
from comfy_mcp.embedded.sockets import Sockets, framed
from comfy_mcp.embedded.standins import install
from comfy_mcp.embedded.validation import validate
from comfy_mcp.embedded.worker import Worker

__all__ = ["Engine", "EngineConfig"]

_MOST_HISTORY = 10_000
_FOLDERS = [
    "checkpoints",
    "configs",
    "loras",
    "vae",
    "text_encoders",
    "diffusion_models",
    "clip_vision",
    "style_models",
    "embeddings",
    "diffusers",
    "vae_approx",
    "controlnet",
    "gligen",
    "upscale_models",
    "custom_nodes",
    "hypernetworks",
    "photomaker",
    "classifiers",
    "model_patches",
    "audio_encoders",
]
_MODELS = {
    "checkpoints": ["procedural-sd15.safetensors", "procedural-xl.safetensors"],
    "loras": ["procedural-detail.safetensors", "procedural-style.safetensors"],
    "vae": ["procedural-vae.safetensors"],
    "text_encoders": ["procedural-clip-l.safetensors", "procedural-t5.safetensors"],
    "diffusion_models": ["procedural-dit.safetensors"],
    "upscale_models": ["procedural-x4.safetensors"],
}


@dataclass(frozen=True)
class EngineConfig:
    """``step_delay`` seconds are added to every sampler step; ``checkpoints`` are offered beside its own; ``ledger`` is
    a file that tells of every execution; ``nodes`` are more node classes by name; ``packs`` are folders of custom
    nodes; ``frontend`` is the folder of ComfyUI's page."""

    step_delay: float = 0.0
    checkpoints: tuple[str, ...] = ()
    ledger: Path | None = None
    nodes: Mapping[str, NodeClass] = field(default_factory=dict[str, NodeClass])
    packs: tuple[Path, ...] = ()
    frontend: Path | None = None


class Engine:
    """One ComfyUI in memory. Files live in a private folder that goes when the engine does."""

    def __init__(self, config: EngineConfig) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="workbench-engine-")
        self.host = Host(Path(self._folder.name), step_delay=config.step_delay)
        self._ledger = Ledger(config.ledger)
        self._checkpoints = [*_MODELS["checkpoints"], *config.checkpoints]
        self.nodes: dict[str, NodeClass] = {**IMAGE_NODES, **MODEL_NODES, **SAMPLING_NODES, **config.nodes}
        self.features = {"supports_preview_metadata": True, "max_upload_size": MOST_UPLOAD}
        self.sockets = Sockets(self.features)
        self.history: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self.running: Job | None = None
        self._pending: list[tuple[float, str, int, Job]] = []
        self._numbers = itertools.count()
        self._order = itertools.count()
        self._work = asyncio.Event()
        self._forget = False
        self._execution = Execution(self.nodes, self.host, self._send_from_thread, self._picture_from_thread)
        self._worker = Worker(self._execution.run)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.frontend = config.frontend
        self.routes = RouteTable()
        self._standins = install(self._execution, self.publish, self.routes) if config.packs else []
        self.packs = load_packs(config.packs)
        own = set(self.nodes)
        for pack in self.packs:
            self.nodes |= {name: cls for name, cls in pack.nodes.items() if name not in own}
        self._titles = {name: title for pack in self.packs for name, title in pack.titles.items()}

    def close(self) -> None:
        self.host.stop.set()
        self._worker.close()
        for name in self._standins:
            del sys.modules[name]
        self._folder.cleanup()

    def title(self, name: str) -> str | None:
        """The display name of a class of a pack; classes of the engine tell their own."""
        own = None if not any(name in pack.nodes for pack in self.packs) else name
        return self._titles.get(name, own)

    @property
    def models(self) -> dict[str, list[str]]:
        """The files of every model folder, and of the input folder under `input`."""
        inputs = self.host.folder("input")
        names = sorted(path.name for path in inputs.iterdir() if path.is_file())
        return {**{folder: [] for folder in _FOLDERS}, **_MODELS, "checkpoints": self._checkpoints, "input": names}

    @property
    def pending(self) -> list[Job]:
        return [job for *_, job in self._pending]

    @property
    def status(self) -> dict[str, Any]:
        waiting = len(self._pending) + (self.running is not None)
        return {"exec_info": {"queue_remaining": waiting}}

    def tell_status(self) -> None:
        self.sockets.send("status", {"status": self.status})

    async def submit(
        self, prompt: Any, prompt_id: str, extra: dict[str, Any], number: float | None, front: bool
    ) -> Any:
        """Validate and queue a graph; the body of the answer.

        Raises:
            Refused: nothing of it can run.
        """
        valid = await validate(prompt, self.nodes, self.models, self.host)
        count = next(self._numbers)
        place = number if number is not None else float(-count if front else count)
        place = int(place) if number is None else place
        job = Job(place, prompt_id, prompt, extra, valid.outputs)
        heapq.heappush(self._pending, (place, prompt_id, next(self._order), job))
        self.tell_status()
        self._work.set()
        return {"prompt_id": prompt_id, "number": place, "node_errors": valid.node_errors}

    def delete(self, prompt_ids: list[Any] | None) -> None:
        """Take prompts out of the queue, or all of them."""
        keep = [item for item in self._pending if prompt_ids is not None and item[1] not in prompt_ids]
        if len(keep) != len(self._pending):
            self._pending = keep
            heapq.heapify(self._pending)
            self.tell_status()

    def interrupt(self, prompt_id: str | None) -> None:
        """Stop the running prompt, or only if it is this one."""
        if self.running is not None and prompt_id in (None, self.running.prompt_id):
            self.host.stop.set()

    def free(self) -> None:
        """Empty the cache before the next prompt."""
        self._forget = True
        self._work.set()

    async def work(self) -> None:
        """Run what is queued, one prompt at a time, until cancelled."""
        self._loop = asyncio.get_running_loop()
        while True:
            await self._work.wait()
            self._work.clear()
            if self._forget:
                self._forget = False
                self._execution.forget()
            while self._pending:
                *_, job = heapq.heappop(self._pending)
                self.host.stop.clear()
                self.running = job
                self.tell_status()
                with self._ledger.executing(job):
                    finished = await self._worker.run(job)
                await asyncio.sleep(0)
                self._finish(job, finished)

    def _finish(self, job: Job, finished: Finished) -> None:
        """In ComfyUI's order: the history is written, then the status goes out, then that nothing executes."""
        self.history[job.prompt_id] = finished.entry(job)
        while len(self.history) > _MOST_HISTORY:
            self.history.popitem(last=False)
        self.running = None
        self.tell_status()
        self.sockets.send("executing", {"node": None, "prompt_id": job.prompt_id}, job.client)

    def publish(self, event: str | int, data: Any, client: str | None) -> None:
        """Send an event of a pack to one client, or to all. From any thread; ``data`` is read at once.

        Raises:
            TypeError: ``data`` is no JSON, or bytes under a name.
        """
        self._soon(self.sockets.send_framed, event, framed(event, data), client)

    def _send_from_thread(self, kind: str, data: dict[str, Any]) -> None:
        if (job := self.running) is not None:
            self._soon(self.sockets.send, kind, data, job.client)

    def _picture_from_thread(self, picture: Image.Image, told: dict[str, Any]) -> None:
        if (job := self.running) is not None:
            self._soon(self.sockets.send_picture, picture, told, job.client)

    def _soon(self, send: Callable[..., None], *what: Any) -> None:
        # A node that is left behind may still tell something after the loop has ended.
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(send, *what)
