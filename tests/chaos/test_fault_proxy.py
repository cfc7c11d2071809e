"""The faults are real: each breaks a connection in the way it says, and heals."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from tests.chaos.fault_proxy import Fault, FaultProxy
from tests.chaos.processes import free_port

BODY = b"x" * 5000


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.readline():
            writer.write(BODY)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def proxied() -> AsyncGenerator[tuple[FaultProxy, int]]:
    upstream, port = free_port(), free_port()
    server = await asyncio.start_server(serve, "127.0.0.1", upstream)
    proxy = FaultProxy(port, upstream)
    await proxy.start()
    yield proxy, port
    await proxy.stop()
    server.close()


async def ask(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"please\n")
        return await asyncio.wait_for(reader.readexactly(len(BODY)), 1)
    finally:
        writer.close()


async def test_without_a_fault_all_passes() -> None:
    async with proxied() as (_, port):
        assert await ask(port) == BODY


async def test_a_black_hole_keeps_connections_open_and_silent_until_it_heals() -> None:
    async with proxied() as (proxy, port):
        proxy.set(Fault.BLACKHOLE)
        with pytest.raises(TimeoutError):
            await ask(port)
        proxy.set(Fault.NONE)
        assert await ask(port) == BODY


async def test_slices_are_slow_and_whole() -> None:
    async with proxied() as (proxy, port):
        proxy.set(Fault.SLICE)
        started = time.monotonic()
        assert await ask(port) == BODY
        assert time.monotonic() - started > 0.05


async def test_a_cut_ends_in_the_middle() -> None:
    async with proxied() as (proxy, port):
        proxy.set(Fault.CUT)
        with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
            await ask(port)


async def test_a_reset_breaks_what_is_open() -> None:
    async with proxied() as (proxy, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"please\n")
        assert await reader.readexactly(len(BODY)) == BODY
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        writer.close()


async def test_a_server_that_is_gone_is_a_broken_connection() -> None:
    proxy = FaultProxy(free_port(), free_port())
    await proxy.start()
    with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
        await ask(proxy._port)  # pyright: ignore[reportPrivateUsage]
    await proxy.stop()
