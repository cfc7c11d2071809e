"""A real ComfyUI on the CPU for the tests that need one: `python -m tests.comfyui_server FOLDER --checkpoint FILE`.

Lays out the node pack in a base directory of its own, tells the nodes where the tests will start LLM servers, and
prints the variables to set for pytest. Runs until it is interrupted or terminated. The pack's requirements must be
installed for the Python that runs ComfyUI.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

from tests.nodes.graphs.engines import environment, free_ports, lay_out_packs

_START_SECONDS = 120.0


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.comfyui_server")
    parser.add_argument("comfyui", type=Path, help="the folder of ComfyUI, which has main.py in it")
    parser.add_argument("--python", type=Path, default=Path(sys.executable), help="the Python that runs ComfyUI")
    parser.add_argument("--checkpoint", type=Path, required=True, help="a small one, to sample with")
    parser.add_argument("--port", type=int, default=0, help="ComfyUI's; 0 takes a free one")
    told = parser.parse_args()
    # So that ComfyUI ends with this.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="comfyui-of-the-tests-") as base:
        _serve(told.comfyui, told.python.absolute(), _prepared(Path(base), told.checkpoint), told.port or free_ports())


def _prepared(base: Path, checkpoint: Path) -> Path:
    checkpoints = base / "models" / "checkpoints"
    for folder in (checkpoints, base / "user", base / "input", base / "output"):
        folder.mkdir(parents=True)
    (checkpoints / checkpoint.name).symlink_to(checkpoint.absolute())
    lay_out_packs(base / "custom_nodes")
    return base


def _serve(comfyui: Path, python: Path, base: Path, port: int) -> None:
    llm_port = free_ports()
    command = [str(python), "main.py", "--cpu", "--disable-api-nodes", "--port", str(port)]
    command += ["--base-directory", str(base)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WORKBENCH_")}
    with subprocess.Popen(
        command, cwd=comfyui, env={**kept, **environment(base, llm_port)}, stdout=sys.stderr, stderr=sys.stderr
    ) as process:
        try:
            _wait(process, url := f"http://127.0.0.1:{port}")
            sys.stdout.write(f"export COMFYUI_URL={url}\nexport WORKBENCH_TEST_LLM_PORT={llm_port}\n")
            sys.stdout.flush()
            process.wait()
        except KeyboardInterrupt:
            pass
        finally:
            process.terminate()


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        try:
            httpx.get(f"{url}/system_stats", timeout=5, trust_env=False).raise_for_status()
        except httpx.HTTPError:
            time.sleep(0.2)
        else:
            return
    sys.exit("ComfyUI does not start: its log says why.")


if __name__ == "__main__":
    main()
