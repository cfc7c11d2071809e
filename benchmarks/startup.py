"""How long `comfy-workbench stdio` takes until `initialize` is answered, against a bare server of the MCP SDK.

Both are started in turn as processes of their own; memory is the process's resident size after the answer (Linux).

    python benchmarks/startup.py [--runs 10]

Prints one JSON object: median seconds and MiB of each, the ratio of the times and the difference of the memory.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

BARE = """
import anyio
import mcp_types as types
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

async def list_tools(ctx, params):
    return types.ListToolsResult(tools=[])

async def main():
    server = Server("bare", on_list_tools=list_tools)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())

anyio.run(main)
"""
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "clientInfo": {"name": "bench", "version": "1"}, "capabilities": {}},
}


def start(command: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Seconds from the start of the process to its answer, and its resident memory in MiB then."""
    began = time.perf_counter()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(INITIALIZE) + "\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        seconds = time.perf_counter() - began
        assert answer["id"] == 1, answer
        status = Path(f"/proc/{process.pid}/status").read_text()
        kibibytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        process.stdin.close()
        process.wait(10)
    return seconds, kibibytes / 1024


def measure(runs: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as data:
        env = {**os.environ, "WORKBENCH_DATA": data, "WORKBENCH_COMFYUI_URL": "http://127.0.0.1:9"}
        bare, ours = [sys.executable, "-c", BARE], [sys.executable, "-m", "comfy_mcp", "stdio"]
        for command in (bare, ours):
            start(command, env)
        pairs = [(start(bare, env), start(ours, env)) for _ in range(runs)]
    seconds = [statistics.median(pair[side][0] for pair in pairs) for side in (0, 1)]
    memory = [statistics.median(pair[side][1] for pair in pairs) for side in (0, 1)]
    return {
        "runs": runs,
        "bare": {"seconds": round(seconds[0], 3), "mib": round(memory[0], 1)},
        "workbench": {"seconds": round(seconds[1], 3), "mib": round(memory[1], 1)},
        "ratio": round(seconds[1] / seconds[0], 2),
        "more_mib": round(memory[1] - memory[0], 1),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Start-up against a bare server of the MCP SDK.")
    parser.add_argument("--runs", type=int, default=10)
    print(json.dumps(measure(parser.parse_args().runs)))
