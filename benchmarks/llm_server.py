"""An LLM server in a process of its own that need not think: it streams as much as it is asked for, at a steady rate.

    python -m benchmarks.llm_server MODEL=RATE...

A rate is in tokens per second, kept as a card keeps it, whatever the reader does; 0 is as fast as it can. Prints its
address and runs until it is ended. Connections stay open as long as the other side likes.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from tests.bridge.servers import chunk, sse

__all__ = ["scripted_server"]

BEGIN = sse(chunk(role="assistant", content=None), done=False)
TOKEN = sse(chunk(" word"), done=False)


@contextmanager
def scripted_server(**rates: float) -> Generator[str]:
    """Its address. The names are models, the values tokens per second."""
    models = [f"{model}={rate}" for model, rate in rates.items()]
    command = [sys.executable, "-m", "benchmarks.llm_server", *models]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


async def _serve(rates: Mapping[str, float], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if head.startswith(b"get"):
                _list(writer, rates)
            else:
                length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
                await _answer(writer, json.loads(await reader.readexactly(length)), rates)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


def _list(writer: asyncio.StreamWriter, rates: Mapping[str, float]) -> None:
    body = json.dumps({"data": [{"id": model} for model in rates]}).encode()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


async def _answer(writer: asyncio.StreamWriter, asked: Mapping[str, Any], rates: Mapping[str, float]) -> None:
    tokens, rate = asked["max_tokens"], rates[asked["model"]]
    clock = asyncio.get_running_loop().time
    began = clock()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    writer.write(_framed(BEGIN))
    for number in range(tokens):
        await asyncio.sleep(began + (number + 1) / rate - clock() if rate else 0)
        writer.write(_framed(TOKEN))
        await writer.drain()
    usage = {"prompt_tokens": 20, "completion_tokens": tokens, "total_tokens": 20 + tokens}
    writer.write(_framed(sse(chunk(finish="length"), {"choices": [], "usage": usage})) + b"0\r\n\r\n")
    await writer.drain()


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


async def _main(rates: Mapping[str, float]) -> None:
    server = await asyncio.start_server(partial(_serve, rates), "127.0.0.1", 0, backlog=1024)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    named = (argument.partition("=") for argument in sys.argv[1:])
    asyncio.run(_main({model: float(rate) for model, _, rate in named}))
