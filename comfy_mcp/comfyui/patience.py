"""How long a job bears with a ComfyUI that does not answer."""

from __future__ import annotations

import time
from collections.abc import Callable

import anyio

from comfy_mcp.comfyui.client import ComfyUI
from comfy_mcp.comfyui.translate import unavailable
from comfy_mcp.errors import BackendUnavailable

__all__ = ["Patience"]

_PAUSE_SECONDS = 1.0


class Patience:
    """Counts from the first failure after an answer. ``on_turn`` is called when that begins and when it ends."""

    def __init__(self, comfy: ComfyUI, on_turn: Callable[[], None] = lambda: None) -> None:
        self._comfy, self._on_turn = comfy, on_turn
        self._since: float | None = None

    def answered(self) -> None:
        if self._since is not None:
            self._since = None
            self._comfy.on_silence(None)
            self._on_turn()

    async def bear(self, failure: BackendUnavailable) -> None:
        """Wait a moment before it is asked again.

        Raises:
            BackendUnavailable: it has been silent for `Timeouts.gone` seconds.
        """
        now, first = time.monotonic(), self._since is None
        self._since = now if self._since is None else self._since
        self._comfy.on_silence(failure)
        if first:
            self._on_turn()
        if now - self._since > self._comfy.timeouts.gone:
            raise unavailable(self._comfy.url, "no answer for long", reached=True) from failure
        await anyio.sleep(min(_PAUSE_SECONDS, self._comfy.timeouts.gone / 4))
