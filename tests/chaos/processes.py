"""The processes under test, each at an address of its own that it keeps over kills."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

from benchmarks.overhead import GRAPH, MANIFEST

__all__ = ["Engine", "Producers", "Served", "Workbench", "free_port", "plain_colour"]

_START_SECONDS = 30.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def plain_colour(data: Path) -> None:
    """A template whose picture tells which job made it."""
    folder = data / "templates" / "plain_colour"
    folder.mkdir(parents=True)
    graph = json.loads(json.dumps(GRAPH))
    graph["1"]["inputs"] |= {"width": 16, "height": 16}
    (folder / "workflow.json").write_text(json.dumps(graph))
    (folder / "manifest.toml").write_text(MANIFEST)


class Served:
    """A server process that can be killed, frozen and started again; its own complaints go to ``log``."""

    def __init__(self, log: Path) -> None:
        self.port = free_port()
        self._log = log
        self._process: Process | None = None

    def command(self) -> tuple[list[str], dict[str, str]]:
        raise NotImplementedError

    async def start(self, *, wait: bool = True) -> None:
        """Start it, and ``wait`` until it says that it listens."""
        command, env = self.command()
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdout=PIPE, stderr=log, env={**os.environ, **env}
            )
        if wait:
            assert self._process.stdout is not None
            line = await asyncio.wait_for(self._process.stdout.readline(), _START_SECONDS)
            if not line:
                raise RuntimeError(f"{type(self).__name__} did not start; see {self._log}")

    async def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(how)
            await self._process.communicate()
            self._process = None

    async def freeze(self, seconds: float) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        self._process.send_signal(signal.SIGCONT)


class Engine(Served):
    """The embedded engine with its ledger; a step takes long enough to be killed in."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "engine.log")
        self.ledger = folder / "ledger.jsonl"

    def command(self) -> tuple[list[str], dict[str, str]]:
        options = ["--port", str(self.port), "--step-delay", "0.03", "--ledger", str(self.ledger)]
        return [sys.executable, "-m", "comfy_mcp.embedded", *options], {}


class Workbench(Served):
    """`serve` on a data folder."""

    def __init__(self, folder: Path, data: Path, comfyui: int) -> None:
        super().__init__(folder / "workbench.log")
        self._data, self._comfyui = data, comfyui

    def command(self) -> tuple[list[str], dict[str, str]]:
        env = {
            "WORKBENCH_DATA": str(self._data),
            "WORKBENCH_COMFYUI_URL": f"http://127.0.0.1:{self._comfyui}",
            "WORKBENCH_MAX_ATTEMPTS": "10",
            "WORKBENCH_MAX_QUEUE": "60",
            "WORKBENCH_RATE": "0",
            "WORKBENCH_SETTINGS": str(self._data / "no-settings.toml"),
        }
        return [sys.executable, "-m", "comfy_mcp", "serve", "--port", str(self.port)], env


class Producers:
    """Some producers, each with a journal and marks of its own."""

    def __init__(self, folder: Path, url: str, count: int, jobs: int, seed: int) -> None:
        self._url, self._seed, self._jobs = url, seed, jobs
        self.journals = [folder / f"producer-{number}.journal" for number in range(count)]
        self._processes: list[Process] = []

    async def start(self) -> None:
        share = 2**24 // (len(self.journals) + 1)
        for number, journal in enumerate(self.journals):
            journal.touch()
            arguments = [self._url, str(journal), str(1 + number * share), str(min(share, self._jobs))]
            command = [sys.executable, "-m", "tests.chaos.producer", *arguments, f"{self._seed}-{number}"]
            self._processes.append(await asyncio.create_subprocess_exec(*command, stdin=PIPE))

    def acknowledged(self) -> int:
        return sum(journal.read_text().count("\nacked ") for journal in self.journals)

    async def end(self, seconds: float) -> None:
        """Let them end what they asked for."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        async with asyncio.timeout(seconds):
            for process in self._processes:
                if await process.wait():
                    raise RuntimeError("a producer failed")
