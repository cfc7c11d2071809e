"""A TCP proxy that breaks what passes through it, as networks do: resets, silence, trickles and cuts.

Owns connections, not what they carry. A fault holds until it is healed.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from enum import StrEnum

__all__ = ["Fault", "FaultProxy"]

_CHUNK = 64 * 1024
_SLICE, _SLICE_SECONDS = 97, 0.002
_CUT_AFTER = 500


class Fault(StrEnum):
    NONE = "none"
    BLACKHOLE = "blackhole"
    """Connections are taken and stay open, and nothing passes: half-open for who waits."""
    SLICE = "slice"
    """Everything comes in small pieces."""
    CUT = "cut"
    """Connections end in the middle of an answer."""


class FaultProxy:
    """Listens on ``port`` of this machine and passes on to ``upstream``."""

    def __init__(self, port: int, upstream: int) -> None:
        self._port, self._upstream = port, upstream
        self._server: asyncio.Server | None = None
        self._pipes: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._open = asyncio.Event()
        self._open.set()
        self.fault = Fault.NONE

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.set(Fault.NONE)
        self.reset()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    def set(self, fault: Fault) -> None:
        self.fault = fault
        if fault is Fault.BLACKHOLE:
            self._open.clear()
        else:
            self._open.set()

    def reset(self) -> None:
        """Every connection breaks at once, as when a router forgets them."""
        for writer in list(self._writers):
            _break(writer)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pipes.add(task)
        self._writers.add(writer)
        try:
            await self._connect(reader, writer)
        except OSError:
            pass
        finally:
            self._pipes.discard(task)
            self._writers.discard(writer)
            writer.close()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            # Refused there is refused here, as far as a proxy can say it.
            _break(writer)
            return
        self._writers.add(back)
        try:
            await asyncio.gather(self._pipe(reader, back), self._pipe(there, writer, answers=True))
        finally:
            self._writers.discard(back)
            back.close()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool = False) -> None:
        passed = 0
        try:
            while data := await reader.read(_CHUNK):
                await self._open.wait()
                if self.fault is Fault.SLICE:
                    for start in range(0, len(data), _SLICE):
                        writer.write(data[start : start + _SLICE])
                        await writer.drain()
                        await asyncio.sleep(_SLICE_SECONDS)
                    continue
                passed += len(data)
                if self.fault is Fault.CUT and answers and passed > _CUT_AFTER:
                    writer.write(data[: len(data) // 2])
                    await writer.drain()
                    _break(writer)
                    return
                writer.write(data)
                await writer.drain()
        except OSError:
            _break(writer)
        else:
            if writer.can_write_eof():
                writer.write_eof()


def _break(writer: asyncio.StreamWriter) -> None:
    """Close with a reset instead of an end."""
    found: socket.socket | None = writer.get_extra_info("socket")
    if found is not None and found.fileno() >= 0:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
