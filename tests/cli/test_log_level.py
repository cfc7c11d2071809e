"""The setting `log_level` holds for the commands that stay, on stderr alone and with nothing secret in it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from subprocess import DEVNULL, PIPE

import anyio
import pytest
from anyio.streams.text import TextReceiveStream

SECRET = "canary of no known shape"


@pytest.mark.parametrize("command", [("stdio",), ("serve", "--port", "0")], ids=" ".join)
async def test_everything_is_logged_where_it_is_asked_for(tmp_path: Path, command: tuple[str, ...]) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("WORKBENCH_")},
        "WORKBENCH_DATA": str(tmp_path),
        "WORKBENCH_COMFYUI_URL": "http://127.0.0.1:9",
        "WORKBENCH_COMFYUI_AUTHORIZATION": SECRET,
        "WORKBENCH_LOG_LEVEL": "debug",
    }
    said = ""
    started = [sys.executable, "-m", "comfy_mcp", *command]
    async with await anyio.open_process(started, env=environment, stdin=PIPE, stdout=DEVNULL, stderr=PIPE) as process:
        assert process.stderr is not None
        with anyio.fail_after(20):
            async for text in TextReceiveStream(process.stderr, errors="replace"):
                said += text
                if "DEBUG httpcore" in said:
                    break
        process.terminate()
        await process.wait()
    assert "DEBUG httpcore" in said
    assert SECRET not in said
