"""HTTP to one LLM server: a connection for each request, deadlines, bounded bodies, and httpx's failures as ours.

Knows paths and bytes, and no dialect. Used by the dialects and the client.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BadAnswer, BadInput, BridgeError, ServerLost, ServerUnavailable, TimedOut
from llm_bridge.refusals import refusal

__all__ = ["COMMENT", "MOST_BYTES", "Timeouts", "Transport", "http_failure", "too_slow"]

MOST_BYTES = 32 * 2**20
"""Largest JSON answer, and largest piece of a stream."""

COMMENT = "\n"
"""The name of a piece of a stream that is a comment; no event can have it."""

_MOST_REFUSAL_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds, each for one thing, so that a slow card and a dead server are told apart.

    connect      until the connection stands
    answer       for a plain question, such as the list of models
    load         until a model is in memory
    first_token  from sending a request to its first token, reading the prompt included
    idle         between two pieces of an answer
    """

    connect: float = 5.0
    answer: float = 20.0
    load: float = 600.0
    first_token: float = 600.0
    idle: float = 120.0


_TOO_SLOW = {
    "load": ("did not load the model within", "Choose a smaller model, or raise the load timeout."),
    "first_token": (
        "sent no token within",
        "If it still reads the prompt, shorten the messages or raise the first_token timeout.",
    ),
    "idle": ("sent nothing more for", "Look at its log, then ask again; raise the idle timeout if it is only slow."),
}


def too_slow(server: str, stage: str, timeouts: Timeouts) -> TimedOut:
    """The error when ``stage`` (load, first_token or idle) has taken its whole time."""
    what, hint = _TOO_SLOW[stage]
    return TimedOut(f"{server} {what} {getattr(timeouts, stage):g} seconds.", hint=hint, stage=stage)


def http_failure(server: str, failure: Exception) -> BridgeError:
    """What a failure of httpx means. The one table; the most specific comes first."""
    match failure:
        case httpx.ConnectTimeout() | httpx.PoolTimeout():
            message = f"{server} did not take the connection in time."
            return TimedOut(message, hint="Is it running, and is its address right?", stage="connect")
        case httpx.TimeoutException():
            return TimedOut(f"{server} did not answer in time.", hint="Look at its log.", stage="answer")
        case httpx.ConnectError() | httpx.ProxyError():
            return ServerUnavailable(f"{server} does not answer.", hint="Start it, or mend its address.")
        case httpx.NetworkError() | httpx.RemoteProtocolError():
            return ServerLost(f"{server} broke the connection.", hint="Look at its log, then ask again.")
        case httpx.UnsupportedProtocol() | httpx.InvalidURL() | httpx.LocalProtocolError():
            return BadInput(f"The address of {server} cannot be used.", hint="Example: http://127.0.0.1:1234")
        case _:
            return BadAnswer(f"{server} answers what cannot be read.", hint="Is it an LLM server?")


class Transport:
    """Make it with `open`."""

    def __init__(self, endpoint: Endpoint, http: httpx.AsyncClient, timeouts: Timeouts) -> None:
        self.endpoint = endpoint
        self.timeouts = timeouts
        self._http = http

    @classmethod
    @asynccontextmanager
    async def open(cls, endpoint: Endpoint, timeouts: Timeouts | None = None) -> AsyncGenerator[Transport]:
        """Ready to ask; nothing is sent yet. Raises BadInput when the key is missing, or the address cannot be one.

        No redirect is followed, so that a key goes nowhere else; a proxy of the environment is not asked for servers
        on this machine.
        """
        timeouts = timeouts or Timeouts()
        key = endpoint.key
        try:
            root = httpx.URL(endpoint.root)
            _ = root.host
        except (httpx.InvalidURL, UnicodeError):
            # The names of hosts have rules of their own, and httpx raises those of idna as they are.
            raise http_failure(endpoint.name, httpx.InvalidURL("")) from None
        async with httpx.AsyncClient(
            base_url=root,
            # Compression would hold tokens back.
            headers={"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {key}"} if key else {}),
            # What comes after the connection has deadlines of its own, by what is waited for.
            timeout=httpx.Timeout(None, connect=timeouts.connect),
            # llama-server closes after a streamed answer without saying so, and a request sent just then would be lost.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
            trust_env=not endpoint.is_loopback,
            verify=_trusted(endpoint),
        ) as http:
            yield cls(endpoint, http, timeouts)

    @property
    def name(self) -> str:
        return self.endpoint.name

    async def get(self, path: str, *, seconds: float | None = None) -> Any:
        """The JSON at ``path``; raises as `send` does."""
        return await self.send("GET", path, seconds=seconds)

    async def post(self, path: str, body: Mapping[str, Any], *, seconds: float | None = None) -> Any:
        """The JSON that answers ``body``; raises as `send` does."""
        return await self.send("POST", path, body, seconds=seconds)

    async def send(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, seconds: float | None = None
    ) -> Any:
        """The JSON of an answer, None when it is empty, within ``seconds`` (those of `Timeouts.answer`).

        Raises:
            TimedOut, ServerUnavailable, ServerLost: as their names say.
            BadAnswer: no JSON, or too much of it.
            BridgeError: what the server's refusal means.
        """
        data = await self.text(method, path, body, seconds=seconds)
        try:
            return json.loads(data) if data.strip() else None
        except (ValueError, RecursionError):
            raise BadAnswer(f"{self.name} answers no JSON.", hint="Is it an LLM server?") from None

    async def text(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, seconds: float | None = None
    ) -> bytes:
        """The bytes of an answer; raises as `send` does, but takes any content."""
        try:
            async with asyncio.timeout(self.timeouts.answer if seconds is None else seconds):
                async with self.stream(method, path, body) as response:
                    return await self._whole(response)
        except TimeoutError:
            raise TimedOut(f"{self.name} did not answer in time.", hint="Look at its log.", stage="answer") from None

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> AsyncGenerator[httpx.Response]:
        """A successful response whose body is still to be read, without any deadline; leaving it closes the socket.

        Raises:
            BadInput: ``body`` holds what JSON cannot.
            ServerUnavailable, ServerLost: as their names say.
            BadAnswer: it is compressed.
            BridgeError: what the server's refusal means.
        """
        content = None if body is None else self._encoded(body)
        kind = {} if body is None else {"Content-Type": "application/json"}
        with self._translated():
            async with self._http.stream(
                method, path, content=content, headers={**kind, **(headers or {})}
            ) as response:
                self._refuse_packed(response)
                if response.status_code >= 300:
                    words = await self._whole(response)
                    raise refusal(self.name, response.status_code, response.headers, words)
                yield response

    def _refuse_packed(self, response: httpx.Response) -> None:
        """A few packed bytes can be gigabytes, and would be so before anything here could count them."""
        if response.headers.get("content-encoding", "").strip().lower() not in ("", "identity"):
            raise BadAnswer(
                f"{self.name} compresses its answers, though it was asked not to.",
                hint="Switch compression off there, or in the proxy in front of it.",
            )

    def _encoded(self, body: Mapping[str, Any]) -> bytes:
        try:
            return json.dumps(dict(body), ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
        except (TypeError, ValueError, RecursionError):
            raise BadInput(
                f"The request to {self.name} holds what JSON cannot.", hint="Look for bytes, NaN and broken characters."
            ) from None

    @contextmanager
    def _translated(self) -> Generator[None]:
        """Failures of httpx come out as ours, and a key that the server repeats does not come out at all."""
        try:
            yield
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as failure:
            raise http_failure(self.name, failure) from failure
        except BridgeError as failure:
            if key := self._http.headers.get("Authorization", "").removeprefix("Bearer "):
                failure.leave_out(key)
            raise

    async def _whole(self, response: httpx.Response) -> bytes:
        data = bytearray()
        refused = response.status_code >= 300
        most = _MOST_REFUSAL_BYTES if refused else MOST_BYTES
        async for piece in response.aiter_bytes():
            data += piece
            if len(data) > most:
                if refused:
                    break
                raise BadAnswer(f"{self.name} answers more than {most} bytes.", hint="Is it an LLM server?")
        return bytes(data)


def _trusted(endpoint: Endpoint) -> ssl.SSLContext | bool:
    """Whose certificates are believed: the usual, but reading those takes a tenth of a second, and HTTP needs none."""
    return True if endpoint.url.lower().startswith("https:") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
