"""Foreign failures become ours in one place: what httpx, websockets and JSON raise, and what it means for a job."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import httpx
from websockets.exceptions import WebSocketException

from comfy_mcp.errors import BackendUnavailable

__all__ = ["FOREIGN", "translated", "unavailable", "understood"]

FOREIGN: tuple[type[Exception], ...] = (
    httpx.HTTPError,
    httpx.StreamError,
    httpx.InvalidURL,
    WebSocketException,
    OSError,
    TimeoutError,
)
"""Everything that talking to ComfyUI can raise; each means that it cannot be reached just now."""


def unavailable(url: str, reason: str, *, reached: bool) -> BackendUnavailable:
    """``reached`` tells whether the request may have arrived all the same."""
    return BackendUnavailable(
        f"ComfyUI at {url} does not answer ({reason}).",
        hint="Start ComfyUI, or set WORKBENCH_COMFYUI_URL to where it runs.",
        reached=reached,
    )


@contextmanager
def translated(url: str) -> Generator[None]:
    """Turn foreign failures inside the block into ours.

    Raises:
        BackendUnavailable: no connection, no answer in time, or a broken one.
    """
    try:
        yield
    except FOREIGN as failure:
        never_sent = isinstance(failure, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)
        raise unavailable(url, _reason(failure), reached=not never_sent) from failure


@contextmanager
def understood(url: str) -> Generator[None]:
    """Read an answer inside the block: one of another shape is not ComfyUI's, and says nothing about a job.

    Raises:
        BackendUnavailable: the answer is no JSON, or has not the shape it should have.
    """
    try:
        yield
    except (AttributeError, KeyError, IndexError, TypeError, ValueError, RecursionError) as failure:
        raise _another(url) from failure


def _another(url: str) -> BackendUnavailable:
    """A page for signing in, another program on the port: ComfyUI itself may be behind it or come back."""
    return BackendUnavailable(
        f"What answers at {url} is not ComfyUI.",
        hint="Check WORKBENCH_COMFYUI_URL; open it in a browser.",
        reached=True,
    )


def _reason(failure: Exception) -> str:
    match failure:
        case httpx.TimeoutException() | TimeoutError():
            return "no answer in time"
        case httpx.ConnectError():
            return "connection refused"
        case _:
            return "the connection broke"
