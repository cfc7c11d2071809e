"""Record what a real ComfyUI offers, without the texts and the files of that machine.

    python -m tests.data.record_object_info http://127.0.0.1:8188

Writes object_info.json.gz beside this file: classes, input names, types, order and ranges are facts that the importer
and the checks are tested against where no ComfyUI is at hand.
"""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import httpx

__all__ = ["RECORDING", "recorded"]

RECORDING = Path(__file__).with_name("object_info.json.gz")
_TEXTS = frozenset({"description", "output_tooltips", "category", "python_module"})
_FILES = (".safetensors", ".ckpt", ".pt", ".pth", ".png", ".jpg", ".yaml")


def recorded() -> dict[str, Any]:
    """The recording, as `GET /object_info` would answer."""
    return json.loads(gzip.decompress(RECORDING.read_bytes()))


def _trimmed(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _trimmed(inner) for key, inner in value.items() if key != "tooltip"}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return [_trimmed(inner) for inner in value if not str(inner).endswith(_FILES)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return value


def main(url: str) -> None:
    told = httpx.get(f"{url}/object_info", timeout=60).raise_for_status().json()
    kept = {
        name: {key: _trimmed(value) for key, value in node.items() if key not in _TEXTS}
        for name, node in sorted(told.items())
    }
    RECORDING.write_bytes(gzip.compress(json.dumps(kept, separators=(",", ":")).encode(), mtime=0))


if __name__ == "__main__":
    main(sys.argv[1])
