"""The tables of the settings file: ComfyUIs, LLM servers, and what serves the front ends that have forms of their own.

Owns their keys and ranges; `settings` reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

import httpx
from pydantic import (
    AfterValidator,
    AnyHttpUrl,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BadInput
from llm_bridge.providers.registry import dialect_named

__all__ = ["Address", "Authorization", "BackendSettings", "FrontEndSettings", "LLMServerSettings"]

_NAME = r"^[a-z0-9][a-z0-9_-]{0,63}$"


def _sendable(value: SecretStr) -> SecretStr:
    if not (value.get_secret_value().isascii() and value.get_secret_value().isprintable()):
        raise ValueError("has characters that no HTTP header can have")
    return value


Authorization = Annotated[SecretStr, AfterValidator(_sendable)]


def _reachable(value: AnyHttpUrl) -> AnyHttpUrl:
    if value.username is not None or value.password is not None:
        raise ValueError("holds a password, which belongs into authorization, or into the variable of key_env")
    if value.query is not None or value.fragment is not None:
        raise ValueError("has a part that begins with ? or #, which the address of a server has not")
    if value.port == 0:
        raise ValueError("has the port 0, where nothing answers")
    try:
        # Neither the one nor the other takes every name that pydantic does, and they say so only when it is used.
        _ = httpx.URL(str(value)).host, (value.host or "").encode("idna")
    except (httpx.InvalidURL, UnicodeError):
        raise ValueError("names no host that there can be") from None
    return value


Address = Annotated[AnyHttpUrl, AfterValidator(_reachable)]
"""Where a server answers: a scheme, a host, a port and a path, and no secret."""


class BackendSettings(BaseModel):
    """One `[[backends]]` table. Backends on the same ``card`` take turns; ``tags`` are for jobs that ask for them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=_NAME)
    url: Address
    concurrency: int = Field(1, ge=1, le=16)
    card: str = Field("", max_length=64)
    tags: frozenset[str] = frozenset()
    authorization: Authorization | None = None


_Template = Annotated[str, Field(max_length=64)]


class FrontEndSettings(BaseModel):
    """The tables `[a1111]` and `[images]`: which template serves each kind of request.

    The caller's ``preset`` is laid over what a request says (that which is their default when none is named here), but
    for the parameters that ``call_sets``: there the request counts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    txt2img: _Template = "txt2img"
    img2img: _Template = "img2img"
    inpaint: _Template = "inpaint"
    upscale: _Template = "upscale"
    preset: Annotated[str | None, Field(max_length=64)] = None
    call_sets: frozenset[str] = frozenset()

    def over(self, standing: Mapping[str, str]) -> dict[str, str]:
        """What a caller sends with every call, with the ``preset`` where they name none. Who has none of that name is
        served by their default one."""
        return {"preset": self.preset, **standing} if self.preset else dict(standing)


class LLMServerSettings(BaseModel):
    """One `[[llm_servers]]` table. ``kind`` is found out when it is left out; ``key_env`` names the variable of a key.

    ``max_loaded`` models are kept in its memory at most, 0 for as many as it likes. One on the ``card`` of a ComfyUI
    takes turns with it. Of two that will do, `auto` takes the one of the lower ``cost``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=_NAME)
    url: Address
    kind: str | None = None
    key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")
    concurrency: int = Field(1, ge=1, le=256)
    max_loaded: int = Field(1, ge=0, le=64)
    card: str = Field("", max_length=64)
    cost: float = Field(0.0, ge=0, le=1e12)
    tags: frozenset[str] = frozenset()

    @field_validator("kind")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        try:
            return value and dialect_named(value).kind
        except BadInput as failure:
            raise ValueError(str(failure)) from None

    @model_validator(mode="after")
    def _usable(self) -> Self:
        try:
            _ = self.endpoint
        except BadInput as failure:
            raise ValueError(str(failure)) from None
        return self

    @property
    def address(self) -> str:
        return str(self.url).rstrip("/")

    @property
    def endpoint(self) -> Endpoint:
        """As the bridge has it."""
        most = self.max_loaded or None
        return Endpoint(self.name, self.address, self.kind, self.key_env, self.concurrency, most, self.card, self.cost)
