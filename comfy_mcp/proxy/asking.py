"""What a request asks, read strictly: its JSON, its form, who it is from and what they set for good.

Owns the limits of bodies and forms that hold for every front door. Used by all of them.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Annotated, Any, cast
from urllib.parse import parse_qsl

from anyio import to_thread
from fastapi import Depends
from starlette.datastructures import FormData
from starlette.requests import Request

from comfy_mcp.callers import Right, owner_of, principal_of, standing_of
from comfy_mcp.errors import BadRequest, InvalidImage, TooLarge, UnsupportedType
from comfy_mcp.strict_json import read_body

__all__ = ["Asker", "Owner", "asker_of", "fields_of", "form_of", "json_in", "object_of", "picture_in"]

_MOST_FILES, _MOST_FIELDS, _MOST_PART = 16, 64, 2**20
_MOST_INPUTS = 256
_MOST_JSON = 4 * 2**20
"""Of a body without pictures inside; with them it may be as large as any."""
_DATA_URL = re.compile(r"data:[\w.+/-]*;base64,", re.ASCII | re.IGNORECASE)
_ADDRESS = re.compile(r"https?://", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Asker:
    """Whose jobs a request makes, what they may, and what they send with every call, by parameter."""

    owner: str
    rights: frozenset[Right]
    standing: Mapping[str, str] = field(default_factory=dict[str, str])


def asker_of(request: Request) -> Asker:
    principal = principal_of(request.scope)
    return Asker(owner_of(principal, request.headers), principal.rights, standing_of(request.headers))


def _owner(request: Request) -> str:
    return owner_of(principal_of(request.scope), request.headers)


Owner = Annotated[str, Depends(_owner)]
"""The parameter of a handler that needs no more than whose jobs these are."""


async def object_of(request: Request, shape: str = "{…}", *, pictures: bool = False) -> dict[str, Any]:
    """The body as a JSON object, with ``pictures`` inside or without; who sends none is told its ``shape``.

    Raises:
        UnsupportedType: it is not said to be JSON.
        BadRequest, TooLarge: it is none, or over the limits.
    """
    if _kind(request) != "application/json":
        # A page can send other kinds, or none, to any address without being asked whether it may.
        raise UnsupportedType("The body is not sent as JSON.", hint="Send it with Content-Type: application/json.")
    return await json_in(request, shape, most=None if pictures else _MOST_JSON)


async def json_in(request: Request, shape: str = "{…}", *, most: int | None = None) -> dict[str, Any]:
    """As `object_of`, whatever it is said to be; ``most`` bytes, None for as many as any body may have."""
    body = await request.body()
    if most is not None and len(body) > most:
        raise TooLarge(f"The JSON is larger than {most} bytes.", hint="Upload pictures, do not embed them here.")
    told = await read_body(body)
    if not isinstance(told, dict):
        raise BadRequest("The body is no JSON object.", hint=f"Send {shape} as JSON.")
    return cast("dict[str, Any]", told)


@asynccontextmanager
async def form_of(request: Request) -> AsyncGenerator[FormData]:
    """The multipart form of a request; its files are gone after the block. Raises UnsupportedType, BadRequest."""
    if _kind(request) != "multipart/form-data":
        raise UnsupportedType("The body is no form.", hint="Send it as multipart/form-data.")
    async with request.form(max_files=_MOST_FILES, max_fields=_MOST_FIELDS, max_part_size=_MOST_PART) as form:
        yield form


async def fields_of(request: Request) -> dict[str, str]:
    """The fields of a form of the page, each once, without files. Raises UnsupportedType, BadRequest, TooLarge."""
    kind = _kind(request)
    if kind == "application/x-www-form-urlencoded":
        body = await request.body()
        if len(body) > _MOST_PART:
            raise TooLarge(f"The form is larger than {_MOST_PART} bytes.", hint="Send less at once.")
        return await to_thread.run_sync(_decoded_fields, body)
    if kind != "multipart/form-data":
        raise UnsupportedType("The body is no form.", hint="Send it from the page.")
    async with request.form(max_files=0, max_fields=_MOST_INPUTS, max_part_size=_MOST_PART) as form:
        return {name: value for name, value in form.multi_items() if isinstance(value, str)}


def _decoded_fields(body: bytes) -> dict[str, str]:
    """Starlette's parser goes byte by byte and does not count what is empty: a body of ``&`` costs it seconds."""
    try:
        return dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True, max_num_fields=_MOST_INPUTS))
    except ValueError:
        raise BadRequest(f"The form has more than {_MOST_INPUTS} fields.", hint="Send it from the page.") from None


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def picture_in(text: str, most: int) -> bytes | str:
    """The bytes of a picture that came as base64 or data URL, of at most ``most`` bytes; an http address as it is.

    Raises:
        InvalidImage: neither.
        TooLarge: more bytes.
    """
    if _ADDRESS.match(text):
        return text
    if len(text) * 3 // 4 > most + 1024:
        raise TooLarge(f"The picture is larger than {most} bytes.", hint="Send a smaller one.")
    return await to_thread.run_sync(_decoded, text)


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(_DATA_URL.sub("", text, count=1), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidImage("The picture is no base64.", hint="Send its bytes as base64 or as a data URL.") from None
