"""A bucket: what the contract cannot show, and what goes wrong with real servers."""

from __future__ import annotations

import socket
import subprocess
import sys

import anyio
import pytest

from comfy_mcp.assets import S3Sink
from comfy_mcp.errors import NotFound, SettingsError, StorageUnavailable

KEY = "2026-11/cat-1234-3f2a9c0d11ee.png"


async def test_the_prefix_keeps_two_workbenches_apart(s3_endpoint: str, aws_keys: None) -> None:
    one = S3Sink("pictures", prefix="one/of us", endpoint=s3_endpoint)
    other = S3Sink("pictures", prefix="other", endpoint=s3_endpoint)
    await one.put(KEY, b"picture")
    assert not await other.exists(KEY)
    everything = S3Sink("pictures", endpoint=s3_endpoint)
    assert await everything.get(f"one/of us/{KEY}") == b"picture"


async def test_a_large_file_is_stored_whole(bucket: S3Sink) -> None:
    data = bytes(range(256)) * 50_000
    await bucket.put(KEY, data)
    assert await bucket.get(KEY) == data


async def test_a_missing_bucket_is_told_apart_from_a_missing_file(s3_endpoint: str, aws_keys: None) -> None:
    sink = S3Sink("nowhere", endpoint=s3_endpoint)
    with pytest.raises(StorageUnavailable, match="does not exist"):
        await sink.put(KEY, b"picture")
    with pytest.raises(StorageUnavailable, match="does not exist"):
        await sink.check()
    with pytest.raises(NotFound):
        await sink.get(KEY)


@pytest.mark.usefixtures("aws_keys")
async def test_a_server_that_is_down_is_told_in_time_and_without_its_address() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        sink = S3Sink("pictures", endpoint=f"http://127.0.0.1:{taken.getsockname()[1]}")
        with anyio.fail_after(20):
            for work in (sink.put(KEY, b"x"), sink.get(KEY), sink.exists(KEY), sink.delete(KEY), sink.check()):
                with pytest.raises(StorageUnavailable) as refused:
                    await work
                assert "127.0.0.1" not in str(refused.value.record)


@pytest.mark.usefixtures("aws_keys")
async def test_a_server_that_refuses_the_keys_is_told() -> None:
    async def refuse(stream: anyio.abc.SocketStream) -> None:
        async with stream:
            await stream.receive()
            body = b"<Error><Code>AccessDenied</Code></Error>"
            await stream.send(
                b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
            )

    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, refuse)
        port: int = listener.extra(anyio.abc.SocketAttribute.local_port)
        sink = S3Sink("pictures", endpoint=f"http://127.0.0.1:{port}")
        with anyio.fail_after(20), pytest.raises(StorageUnavailable) as refused:
            await sink.get(KEY)
        assert "AWS_*" in refused.value.hint
        tasks.cancel_scope.cancel()


@pytest.mark.usefixtures("aws_keys")
@pytest.mark.parametrize(
    "endpoint",
    [
        "http://192.0.2.1:9000",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "ftp://127.0.0.1",
        "127.0.0.1:9000",
        "http://",
        "http://user:secret@127.0.0.1",
        "http://127.0.0.1:99999",
        "https://host/?x=1",
        "http://[::1",
    ],
)
def test_an_endpoint_that_is_none_or_unencrypted_is_refused(endpoint: str) -> None:
    with pytest.raises(SettingsError) as refused:
        S3Sink("pictures", endpoint=endpoint)
    assert "secret" not in str(refused.value)


@pytest.mark.usefixtures("aws_keys")
@pytest.mark.parametrize("endpoint", [None, "http://localhost:9000", "http://[::1]:9000", "https://s3.example.com"])
def test_an_endpoint_on_this_machine_or_encrypted_is_taken(endpoint: str | None) -> None:
    S3Sink("pictures", endpoint=endpoint)


@pytest.mark.usefixtures("aws_keys")
def test_without_keys_nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(SettingsError) as refused:
        S3Sink("pictures")
    assert "AWS_SECRET_ACCESS_KEY" in refused.value.hint


async def test_endpoint_and_region_may_come_from_the_environment(
    s3_endpoint: str, aws_keys: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    sink = S3Sink("pictures", prefix="environment")
    await sink.put(KEY, b"picture")
    assert await sink.get(KEY) == b"picture"


def test_the_library_is_imported_for_buckets_only_and_missed_with_a_hint() -> None:
    code = """
import os, sys
sys.modules["obstore"] = sys.modules["obstore.store"] = None
from comfy_mcp.assets import S3Sink
from comfy_mcp.errors import SettingsError
try:
    S3Sink("pictures")
except SettingsError as refused:
    print(refused.hint)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert "pip install" in done.stdout, done.stderr
