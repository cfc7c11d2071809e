"""`python -m comfy_mcp.embedded`: the engine as a process of its own, as the demo and the tests start it."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from comfy_mcp.embedded import EngineConfig, serve_engine
from comfy_mcp.errors import SettingsError


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m comfy_mcp.embedded")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8189, help="0 takes a free one")
    parser.add_argument("--step-delay", type=float, default=0.0, help="seconds added to every sampler step")
    parser.add_argument("--checkpoint", action="append", default=[], help="one more checkpoint to offer, by name")
    parser.add_argument("--ledger", type=Path, help="a file to write every execution to, for who compares")
    parser.add_argument("--pack", type=Path, action="append", default=[], help="a folder of custom nodes to load")
    parser.add_argument("--frontend", type=Path, help="the folder of ComfyUI's page, when it is not installed")
    told = parser.parse_args()
    config = EngineConfig(
        told.step_delay, tuple(told.checkpoint), told.ledger, packs=tuple(told.pack), frontend=told.frontend
    )

    def ready(url: str) -> None:
        sys.stdout.write(f"listening on {url}\n")
        sys.stdout.flush()

    try:
        asyncio.run(serve_engine(told.host, told.port, config=config, ready=ready))
    except SettingsError as failure:
        sys.exit(str(failure))


if __name__ == "__main__":
    main()
