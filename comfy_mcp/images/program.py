"""Decodes one picture in a process of its own, within bounds: `decoder` starts it, asks it on stdin and may kill it.

Reads one line of JSON, then the picture; writes one line of JSON, then what was made of it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from comfy_mcp.errors import WorkbenchError

__all__: list[str] = []


def _bound(memory: int, seconds: float) -> None:
    """Bytes of addresses, and seconds of a processor: also when who started us is gone. Windows has none of this."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _main() -> None:
    asked: dict[str, Any] = json.loads(sys.stdin.buffer.readline())
    _bound(asked["memory"], asked["seconds"])
    from PIL import AvifImagePlugin

    from comfy_mcp.images.tasks import TASKS

    # Each thread of the decoder takes addresses for its stack and its buffers.
    AvifImagePlugin.DEFAULT_MAX_THREADS = 2
    try:
        data = sys.stdin.buffer.read()
        made = TASKS[asked["task"]](data, **asked["given"])
    except WorkbenchError as failure:
        record = failure.record
        told: dict[str, Any] = {"code": record.code, "message": record.message, "hint": record.hint}
        _write({"failed": {**told, "details": record.details}}, None)
    else:
        kept, size = made.data is data, {"width": made.width, "height": made.height, "frames": made.frames}
        _write({"kept": kept, "mime": made.mime, **size}, None if kept else made.data)


def _write(head: dict[str, Any], data: bytes | None) -> None:
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n")
    sys.stdout.buffer.write(data or b"")


if __name__ == "__main__":
    _main()
