"""Real language model servers as processes of their own, on free ports, that tests may kill and start again.

The server and its tiny models come from the folder that `build.py` made.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from tests.llama.tiny_gguf import CHAT_TEMPLATE

__all__ = ["ROUTED", "LlamaServer", "running_router", "running_single"]

ROUTED = ("tiny-a", "tiny-b", "tiny-think")


class LlamaServer:
    """One llama-server. `kill` and `start` keep its address; ``log`` has what it said, also about its models."""

    def __init__(self, program: Path, place: Path, *options: str, port: int = 0) -> None:
        self.port = port or _free_port()
        self.log = place / "log"
        self._gate = place / "gate"
        # One thread is enough for models this small; two that wait for each other on a busy machine are far slower.
        # Context shift lets an answer go on for ever, for tests that interrupt it.
        self._command = [str(program), "--host", "127.0.0.1", "--port", str(self.port), "--threads", "1"]
        self._command += ["--context-shift", "--no-webui", "--offline", *options]
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("LLAMA_")}
        self._environment["LLAMA_CACHE"] = str(place / "cache")
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when it answers; its one model is loaded then, a router has loaded none."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, stdout=log, stderr=log, env=self._environment, start_new_session=True
            )
        until = time.monotonic() + 30
        with httpx.Client(base_url=self.url, timeout=1, trust_env=False) as client:
            while not _healthy(client):
                assert self._process.poll() is None and time.monotonic() < until, self.log.read_text(errors="replace")
                time.sleep(0.01)

    def kill(self) -> None:
        """As a crash, of a router and of its models: nothing is said to anybody."""
        if self._process is not None:
            self._end(self._process)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):  # a router waits for models that are busy
                self._process.wait(2)
            self._end(self._process)

    def instances(self) -> list[int]:
        """The processes in which a router's models run, also those that are loading."""
        assert self._process is not None
        return [pid for pid in _children(self._process.pid) if b"--alias" in _file(pid, "cmdline")]

    def release(self) -> None:
        """Lets the held model of a router, which is loading or about to, finish its load. It waits at the next one."""
        until = time.monotonic() + 30
        while True:
            try:
                gate = os.open(self._gate, os.O_WRONLY | os.O_NONBLOCK)
            except OSError as error:
                assert error.errno == errno.ENXIO and time.monotonic() < until, "nobody is loading the held model"
                time.sleep(0.01)
            else:
                os.write(gate, CHAT_TEMPLATE.encode())
                return os.close(gate)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        self._process = None


@contextmanager
def running_single(
    folder: Path, model: str = "tiny-a", *options: str, slots: int = 2, context: int = 2048
) -> Generator[LlamaServer]:
    """One model, loaded once. ``context`` is in tokens, of all slots together; ``options`` are the server's own."""
    file = folder / "models" / f"{model}.gguf"
    sizes = ["--parallel", str(slots), "--ctx-size", str(context)]
    with tempfile.TemporaryDirectory() as place:
        yield from _running(folder, Path(place), ["--model", str(file), "--alias", model, *sizes, *options])


@contextmanager
def running_router(
    folder: Path,
    *options: str,
    models: Sequence[str] = ROUTED,
    held: str = "",
    loaded: int = 1,
    context: int = 2048,
    port: int = 0,
) -> Generator[LlamaServer]:
    """Models that are loaded when somebody asks for them, at most ``loaded`` at a time; ``port`` 0 takes a free one.

    The model ``held`` goes on loading until `LlamaServer.release`, as if it were large.
    """
    sizes = ["--models-max", str(loaded), "--ctx-size", str(context)]
    with tempfile.TemporaryDirectory() as place:
        linked = _linked(folder, Path(place), models)
        presets = ["--models-preset", str(_presets(Path(place), held))] if held else []
        yield from _running(folder, Path(place), ["--models-dir", str(linked), *presets, *sizes, *options], port)


def _running(folder: Path, place: Path, options: Sequence[str], port: int = 0) -> Generator[LlamaServer]:
    server = LlamaServer(folder / "llama-server", place, *options, port=port)
    try:
        yield server
    finally:
        server.stop()


def _linked(folder: Path, place: Path, models: Sequence[str]) -> Path:
    linked = place / "models"
    linked.mkdir()
    for model in models:
        (linked / f"{model}.gguf").symlink_to(folder / "models" / f"{model}.gguf")
    return linked


def _presets(place: Path, held: str) -> Path:
    """The held model reads its chat template from a pipe, and so waits until somebody writes into it."""
    os.mkfifo(place / "gate")
    presets = place / "presets.ini"
    presets.write_text(f"version = 1\n\n[{held}]\nchat-template-file = {place / 'gate'}\n")
    return presets


def _healthy(client: httpx.Client) -> bool:
    with suppress(httpx.TransportError):
        return client.get("/health").status_code == 200
    return False


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def _children(parent: int) -> list[int]:
    processes = (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())
    return [pid for pid in processes if _file(pid, "stat").rpartition(b")")[2].split()[1:2] == [b"%d" % parent]]


def _file(pid: int, name: str) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/{name}").read_bytes()
    return b""
