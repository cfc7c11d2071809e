"""What a running node can reach: files, progress, and the wish to stop. One object per engine.

Owns the folders input, output, temp and user, and the names of saved files. Nodes of the engine are given it; packs
see what `standins` shows of it.
"""

from __future__ import annotations

import hashlib
import json
import random
import string
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

__all__ = ["NOTICE", "Host", "Interrupted", "to_image"]

_PREVIEW_SECONDS = 0.05
"""Least time between two previews: steps here are far quicker than anybody looks."""

NOTICE = "procedural preview, not a diffusion model"


class Interrupted(Exception):
    """Somebody asked the running prompt to stop."""


@dataclass
class Host:
    """``procedural`` says whether the node at work gets anything that the painter made."""

    root: Path
    step_delay: float = 0.0
    on_step: Callable[[int, int, Image.Image | None], None] = lambda value, maximum, preview: None
    on_frame: Callable[[Image.Image], None] = lambda picture: None
    stop: threading.Event = field(default_factory=threading.Event)
    prompt: dict[str, Any] = field(default_factory=dict[str, Any])
    extra: dict[str, Any] = field(default_factory=dict[str, Any])
    procedural: bool = False
    _temp_prefix: str = field(
        default_factory=lambda: "ComfyUI_temp_" + "".join(random.choices(string.ascii_lowercase, k=5))
    )
    _counters: dict[str, int] = field(default_factory=dict[str, int])
    previewed: float = 0.0

    def __post_init__(self) -> None:
        for kind in ("input", "output", "temp", "user"):
            (self.root / kind).mkdir(parents=True, exist_ok=True)

    def folder(self, kind: str) -> Path:
        return self.root / kind

    def find(self, kind: str, subfolder: str, name: str) -> Path | None:
        """The file, or None when it is not there or outside of its folder."""
        base = self.folder(kind).resolve()
        path = (base / subfolder / name).resolve()
        return path if path.is_relative_to(base) and path.is_file() else None

    def input_file(self, annotated: str) -> Path | None:
        """A file as LoadImage names it: with its subfolder, and perhaps `[temp]` behind it."""
        name, kind = annotated, "input"
        for suffix in ("input", "output", "temp"):
            if annotated.endswith(f" [{suffix}]"):
                name, kind = annotated.removesuffix(f" [{suffix}]"), suffix
        return self.find(kind, "", name)

    def raise_if_stopped(self) -> None:
        """Whoever sees the wish to stop first takes it away, as in ComfyUI.

        Raises:
            Interrupted: the prompt is to stop.
        """
        if self.stop.is_set():
            self.stop.clear()
            raise Interrupted

    def step(self, value: int, maximum: int, preview: Image.Image | None = None) -> None:
        """A node finished a step.

        Raises:
            Interrupted: the prompt is to stop.
        """
        if self.stop.wait(self.step_delay) if self.step_delay else self.stop.is_set():
            raise Interrupted
        if time.monotonic() - self.previewed < _PREVIEW_SECONDS:
            preview = None
        elif preview is not None:
            self.previewed = time.monotonic()
        self.on_step(value, maximum, preview)

    def save(
        self, images: NDArray[np.floating[Any]], kind: str, prefix: str, *, compress: int = 4
    ) -> list[dict[str, str]]:
        """Write a batch as PNG with its workflow inside; what the node reports as `images`."""
        subfolder, _, stem = (self._temp_prefix if kind == "temp" else prefix).rpartition("/")
        folder = (self.folder(kind) / subfolder).resolve()
        if not folder.is_relative_to(self.folder(kind).resolve()):
            raise ValueError("Saving image outside the output folder is not allowed.")
        folder.mkdir(parents=True, exist_ok=True)
        saved: list[dict[str, str]] = []
        for array in images:
            count = self._counters[f"{kind}/{subfolder}/{stem}"] = (
                self._counters.get(f"{kind}/{subfolder}/{stem}", 0) + 1
            )
            name = f"{stem}_{count:05}_.png"
            to_image(array).save(folder / name, pnginfo=self.metadata(), compress_level=compress)
            saved.append({"filename": name, "subfolder": subfolder, "type": kind})
        return saved

    def metadata(self) -> PngInfo:
        told = PngInfo()
        if self.procedural:
            told.add_text("workbench", NOTICE)
        told.add_text("prompt", json.dumps(self.prompt))
        for key, value in self.extra.items():
            told.add_text(key, json.dumps(value))
        return told

    def store_upload(
        self, kind: str, subfolder: str, name: str, data: bytes, *, overwrite: bool
    ) -> dict[str, str] | None:
        """Keep an upload: the same bytes under the same name once, other bytes under another name."""
        base = self.folder(kind).resolve()
        stem, dot, suffix = Path(name).name.rpartition(".")
        folder = (base / subfolder).resolve()
        if not Path(name).name or not folder.is_relative_to(base):
            return None
        folder.mkdir(parents=True, exist_ok=True)
        candidate, count = Path(name).name, 1
        while (folder / candidate).exists() and not overwrite:
            if _same(folder / candidate, data):
                return {"name": candidate, "subfolder": subfolder, "type": kind}
            candidate = f"{stem or suffix} ({count}){dot}{suffix if stem else ''}"
            count += 1
        (folder / candidate).write_bytes(data)
        return {"name": candidate, "subfolder": subfolder, "type": kind}


def to_image(array: NDArray[np.floating[Any]]) -> Image.Image:
    return Image.fromarray(np.clip(array * 255.0, 0, 255).astype(np.uint8))


def _same(path: Path, data: bytes) -> bool:
    return hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256(data).digest()
