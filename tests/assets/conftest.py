"""A real S3 server for the tests of buckets, and one sink of each kind for the contract."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Generator
from pathlib import Path
from time import monotonic

import pytest

from comfy_mcp.assets import FolderSink, MemorySink, S3Sink, Sink

_START_SECONDS = 30


@pytest.fixture(scope="session")
def s3_endpoint() -> Generator[str]:
    """The address of a running S3 server with the empty bucket ``pictures``."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    command = [str(Path(sys.executable).parent / "moto_server"), "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for(port, server)
            endpoint = f"http://127.0.0.1:{port}"
            request = urllib.request.Request(f"{endpoint}/pictures", method="PUT")
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.status == 200
            yield endpoint
        finally:
            server.terminate()
            server.wait(10)


@pytest.fixture
def aws_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys as an administrator sets them, and nothing else of the machine's own."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def bucket(s3_endpoint: str, aws_keys: None, tmp_path: Path) -> S3Sink:
    return S3Sink("pictures", prefix=tmp_path.name, endpoint=s3_endpoint)


@pytest.fixture(params=["folder", "memory", "s3"])
def sink(request: pytest.FixtureRequest, tmp_path: Path) -> Sink:
    match request.param:
        case "folder":
            return FolderSink(tmp_path / "assets")
        case "memory":
            return MemorySink()
        case _:
            return request.getfixturevalue("bucket")


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    end = monotonic() + _START_SECONDS
    while monotonic() < end:
        assert server.poll() is None, "the S3 server ended"
        with socket.socket() as probe:
            probe.settimeout(0.2)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
    raise AssertionError("the S3 server does not answer")
