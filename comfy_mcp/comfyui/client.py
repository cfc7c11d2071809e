"""ComfyUI's HTTP routes, one method each, over one connection pool.

Owns requests, answers and their translation; no job, no loop. Used by execute and by backends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, cast

import anyio
import httpx

from comfy_mcp.comfyui.rejection import rejection
from comfy_mcp.comfyui.socket import Sockets
from comfy_mcp.comfyui.translate import translated, understood
from comfy_mcp.errors import BackendError, BackendUnavailable, OutputUnreadable, TooLarge
from comfy_mcp.jobs import BoundWorkflow, Graph

__all__ = ["ComfyUI", "FileRef", "HistoryEntry", "QueueSnapshot", "Timeouts"]

_MOST_OUTPUT = 512 * 2**20
_VIEW_TRIES = 3
_CANCEL_TRIES, _CANCEL_SECONDS = 8, 0.25


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds.

    ``connect``: until a connection stands. ``read``: between two bytes of an answer. ``poll``: between two looks at
    the history while the socket is silent. ``gone``: how long a running job waits for a ComfyUI that stopped answering.
    """

    connect: float = 3.0
    read: float = 30.0
    poll: float = 2.0
    gone: float = 120.0


@dataclass(frozen=True, slots=True)
class QueueSnapshot:
    """prompt_ids at one moment; ``pending`` in the order in which they will run."""

    running: tuple[str, ...]
    pending: tuple[str, ...]

    def __contains__(self, prompt_id: object) -> bool:
        return prompt_id in self.running or prompt_id in self.pending


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """What `/history/{prompt_id}` says of a prompt that ended. ``outputs`` is by node id."""

    outputs: dict[str, dict[str, Any]]
    status: str
    messages: tuple[tuple[str, dict[str, Any]], ...]

    def last(self, kind: str) -> dict[str, Any] | None:
        """The data of the last status message of this kind."""
        return next((data for name, data in reversed(self.messages) if name == kind), None)


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file as ComfyUI names it: ``type`` is input, output or temp."""

    filename: str
    subfolder: str = ""
    type: str = "output"


class ComfyUI:
    """One ComfyUI at ``url``. An async context manager; safe to share between tasks.

    Every method raises BackendUnavailable when ComfyUI cannot be reached, and when something else answers in its place:
    a proxy whose ComfyUI is down, a page for signing in. ``on_silence`` is told when it does not answer for a job that
    runs there, each time it was asked, and None when it does again.
    """

    def __init__(self, url: str, *, timeouts: Timeouts | None = None, headers: Mapping[str, str] | None = None) -> None:
        self.url = url.rstrip("/")
        self.headers = dict(headers or {})
        self.timeouts = timeouts or Timeouts()
        limits = self.timeouts
        self._http = httpx.AsyncClient(
            base_url=self.url,
            headers=self.headers,
            timeout=httpx.Timeout(limits.read, connect=limits.connect),
            trust_env=False,
            follow_redirects=False,
            limits=httpx.Limits(max_connections=16, max_keepalive_connections=8, keepalive_expiry=30),
        )
        self.sockets = Sockets(self.url, self.headers, limits.connect)
        self.on_silence: Callable[[BackendUnavailable | None], None] = lambda failure: None
        self._atomic_cancel: bool | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.sockets.close()
        await self._http.aclose()

    async def _json(self, path: str) -> Any:
        with translated(self.url):
            answer = await self._http.get(path)
        self._expect(answer)
        with understood(self.url):
            return answer.json()

    async def _post(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        with translated(self.url):
            answer = await self._http.post(path, json=body)
        self._expect(answer)
        return answer

    def _expect(self, answer: httpx.Response) -> None:
        if answer.status_code == 413:
            raise TooLarge("The workflow is larger than ComfyUI accepts.", hint="Start it with --max-upload-size.")
        if answer.status_code in (401, 403):
            raise BackendUnavailable(
                f"ComfyUI at {self.url} does not let us in.",
                hint="Set WORKBENCH_COMFYUI_AUTHORIZATION if a proxy in front of it asks for a token.",
                reached=False,
            )
        if not answer.is_success:
            raise BackendUnavailable(
                f"ComfyUI at {self.url} answered with status {answer.status_code}.",
                hint="Look at ComfyUI's log, or check WORKBENCH_COMFYUI_URL.",
                reached=True,
            )

    async def system_stats(self) -> dict[str, Any]:
        """Version, memory and devices (`GET /system_stats`)."""
        return await self._json("/system_stats")

    async def features(self) -> dict[str, Any]:
        """What this server supports (`GET /features`)."""
        return await self._json("/features")

    async def object_info(self) -> dict[str, Any]:
        """Every node class with inputs, ranges and choices (`GET /object_info`)."""
        told = await self._json("/object_info")
        with understood(self.url):
            return dict(cast(dict[str, Any], told).items())

    async def models(self, folder: str) -> list[str]:
        """The files of one model folder (`GET /models/{folder}`)."""
        return await self._json(f"/models/{folder}")

    async def queue(self) -> QueueSnapshot:
        """What runs and what waits (`GET /queue`, which lists a heap: sorted here by its number)."""
        told = await self._json("/queue")
        with understood(self.url):
            pending = sorted(told["queue_pending"], key=lambda item: (item[0], str(item[1])))
            return QueueSnapshot(
                tuple(str(item[1]) for item in told["queue_running"]), tuple(str(item[1]) for item in pending)
            )

    async def history(self, prompt_id: str) -> HistoryEntry | None:
        """How a prompt ended, or None while it has not or when it is unknown (`GET /history/{prompt_id}`)."""
        told = await self._json(f"/history/{prompt_id}")
        with understood(self.url):
            entry = told.get(prompt_id)
            if entry is None:
                return None
            status: dict[str, Any] = entry.get("status") or {}
            listed: list[tuple[str, dict[str, Any]]] = status.get("messages") or []
            messages = tuple((str(name), dict(data)) for name, data in listed)
            return HistoryEntry(dict(entry.get("outputs") or {}), str(status.get("status_str", "")), messages)

    async def delete_history(self, *prompt_ids: str) -> None:
        """Forget these prompts (`POST /history`); ComfyUI keeps 10 000 and copies them all when asked for the list."""
        await self._post("/history", {"delete": prompt_ids})

    async def upload_image(self, name: str, data: bytes) -> str:
        """Upload a picture and return the name that nodes load it by (`POST /upload/image`).

        The name is made of the content, so a repeated upload writes nothing new.
        """
        suffix = name.rpartition(".")[2] if "." in name else "png"
        stored = f"{hashlib.sha256(data).hexdigest()[:32]}.{suffix}"
        form = {"subfolder": "workbench", "type": "input"}
        with translated(self.url):
            answer = await self._http.post("/upload/image", data=form, files={"image": (stored, data)})
        self._expect(answer)
        with understood(self.url):
            told = answer.json()
            return f"{told['subfolder']}/{told['name']}" if told.get("subfolder") else str(told["name"])

    async def submit(self, bound: BoundWorkflow, graph: Graph, prompt_id: str, client_id: str) -> None:
        """Queue a graph under our own id (`POST /prompt`).

        Raises:
            WorkflowRejected, MissingNode, MissingModel, InvalidParameter: ComfyUI refuses it, in whole or in part.
            BackendError: ComfyUI fails while it reads it.
        """
        body = {"prompt": graph, "prompt_id": prompt_id, "client_id": client_id}
        with translated(self.url):
            answer = await self._http.post("/prompt", json=body)
        with understood(self.url):
            told: dict[str, Any] = dict(answer.json()) if answer.status_code in (200, 400) else {}
        if answer.status_code == 400 or told.get("node_errors"):
            if answer.status_code == 200:
                # A part of it was accepted and would run: the person asked for all of it.
                await self.cancel(prompt_id)
            raise rejection(told, bound)
        if answer.status_code == 500:
            # Of all routes only this one runs foreign code, the validation of custom nodes; again would change nothing.
            raise BackendError("ComfyUI failed while it read the workflow.", hint="Look at ComfyUI's log.")
        self._expect(answer)

    async def view(self, file: FileRef) -> bytes:
        """The whole bytes of a file (`GET /view`).

        Raises:
            OutputUnreadable: it is gone, cut short three times, or larger than 512 MiB.
        """
        params = {"filename": file.filename, "subfolder": file.subfolder, "type": file.type}
        for attempt in range(_VIEW_TRIES):
            try:
                return await self._download(params)
            except httpx.RemoteProtocolError:
                await anyio.sleep(0.2 * attempt)
        raise OutputUnreadable("ComfyUI sends a picture that is cut short.", hint="Try again; check ComfyUI's disk.")

    async def _download(self, params: dict[str, str]) -> bytes:
        with translated(self.url):
            try:
                async with self._http.stream("GET", "/view", params=params) as answer:
                    if answer.status_code == 404:
                        raise OutputUnreadable(
                            "ComfyUI no longer has the picture it made.", hint="Try again; it may have been restarted."
                        )
                    self._expect(answer)
                    return await _bounded(answer)
            except httpx.RemoteProtocolError as failure:
                cut_short = failure
        raise cut_short

    async def cancel(self, prompt_id: str) -> None:
        """Stop one prompt and no other: out of the queue, or interrupted by its id.

        Newer versions have one atomic route for it. Older ones are asked again for two seconds while it is still there;
        a step that takes longer ends by itself afterwards. Some of them interrupt whatever runs, so they are told to
        only while this prompt does.
        """
        if self._atomic_cancel is not False:
            with translated(self.url):
                answer = await self._http.post(f"/api/jobs/{prompt_id}/cancel")
            self._atomic_cancel = answer.status_code not in (404, 405) or "error" in answer.text[:200]
            if answer.is_success:
                return
        for _ in range(_CANCEL_TRIES):
            await self._post("/queue", {"delete": [prompt_id]})
            queue = await self.queue()
            if prompt_id not in queue:
                return
            if prompt_id in queue.running:
                await self._post("/interrupt", {"prompt_id": prompt_id})
            # An interrupt that comes while a prompt is being started is forgotten by ComfyUI.
            await anyio.sleep(_CANCEL_SECONDS)

    async def free(self, *, unload_models: bool = True, free_memory: bool = True) -> None:
        """Ask for memory between jobs (`POST /free`)."""
        await self._post("/free", {"unload_models": unload_models, "free_memory": free_memory})


async def _bounded(answer: httpx.Response) -> bytes:
    found = bytearray()
    async for part in answer.aiter_bytes():
        found += part
        if len(found) > _MOST_OUTPUT:
            raise OutputUnreadable("A file that came out is larger than 512 MiB.", hint="Make it smaller or shorter.")
    return bytes(found)
