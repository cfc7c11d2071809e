"""Adding, changing and removing ComfyUIs and LLM servers: what that changes of the settings, key by key.

Owns how the plain addresses (`comfyui_url`, `llm_url`) and the tables go together, and which secrets a person who
changes servers may send where. Pure; who has the changes writes them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import AnyHttpUrl, ValidationError

from comfy_mcp.errors import InvalidParameter, NotFound
from comfy_mcp.settings.settings import Settings
from comfy_mcp.settings.tables import BackendSettings, LLMServerSettings

__all__ = ["Server", "check_key_name", "free_name", "has_secret", "server_named", "with_server", "without_server"]

Server = BackendSettings | LLMServerSettings

_KINDS: Mapping[type[Server], tuple[str, str]] = {
    BackendSettings: ("backends", "comfyui_url"),
    LLMServerSettings: ("llm_servers", "llm_url"),
}
"""The key of the tables, and that of the plain addresses."""

_KEY_NAME = re.compile(r"LLM_KEY_[A-Z0-9_]+|(?!WORKBENCH_|AWS_)[A-Z0-9_]+_API_KEY")
"""What is called so is the key of a server; what is in any other variable is nothing to be sent to one."""

_HINTS = {
    "name": "Names have small letters, digits, - and _.",
    "url": "Example: http://192.168.1.20:8188. A password belongs into authorization in the settings file.",
}


def with_server(
    settings: Settings, values: Mapping[str, Any], *, llm: bool, instead: str | None = None, default: bool = False
) -> dict[str, Any]:
    """The changes that add a server of these values, ``instead`` of the one of that name, whose secret it keeps as
    long as it is at the same host and port.

    ``default`` keeps the address that is asked when none is set, which another table would replace.

    Raises:
        NotFound: there is none to put it in the place of.
        InvalidParameter: a value cannot be used, or the name or the address is another's.
    """
    old = None if instead is None else server_named(settings, instead)
    check_key_name(settings, values.get("key_env"))
    server = _read(values, llm=llm)
    if old is not None:
        server = _with_secret(server, old)
    tables, plain = _KINDS[type(server)]
    _refuse_double(settings, server, old)
    # A plain address cannot say more than itself: all of them get tables when one of them is to.
    moves = old is not None and old not in getattr(settings, tables)
    kept: list[Server] = list(_all(settings, type(server)) if moves or default else getattr(settings, tables))
    if moves and plain in settings.model_fields_set:
        return {plain: None, tables: _replaced(kept, old, server)}
    return {tables: _replaced(kept, old, server)}


def without_server(settings: Settings, name: str) -> dict[str, Any]:
    """The changes that remove a server. Raises NotFound, and InvalidParameter for the one that nobody set."""
    old = server_named(settings, name)
    tables, plain = _KINDS[type(old)]
    changes: dict[str, Any] = {}
    if old in getattr(settings, tables):
        changes[tables] = [each for each in getattr(settings, tables) if each != old]
    addresses = str(getattr(settings, plain)).split(",")
    if (address := _address(old)) in addresses and plain in settings.model_fields_set:
        changes[plain] = ",".join(each for each in addresses if each != address) or None
    if not changes:
        hint = "Add another ComfyUI, and this one is no longer asked."
        raise InvalidParameter("name", "That is the address that is asked when none is set.", hint=hint)
    return changes


def server_named(settings: Settings, name: str) -> Server:
    """Raises NotFound."""
    for each in (*settings.all_backends, *settings.all_llm_servers):
        if each.name == name:
            return each
    raise NotFound(f"There is no server {name[:64]!r} in the settings.", hint="Reload the page.")


def check_key_name(settings: Settings, name: str | None) -> None:
    """Raises InvalidParameter for a variable that a person may not have sent to a server: one that is not called like
    the key of one, and is in no settings of one."""
    if name and not _KEY_NAME.fullmatch(name) and all(each.key_env != name for each in settings.llm_servers):
        raise InvalidParameter(
            "key_env",
            "That variable is not called like the key of a server.",
            hint="Take one that ends in _API_KEY or begins with LLM_KEY_, or name it in the settings file.",
        )


def has_secret(server: Server) -> bool:
    """Whether something secret is sent to it."""
    return (server.authorization if isinstance(server, BackendSettings) else server.key_env) is not None


def free_name(settings: Settings, wanted: str) -> str:
    """``wanted``, or with a number behind it when that is another's already."""
    taken = {each.name for each in (*settings.all_backends, *settings.all_llm_servers)}
    names = (wanted if number == 1 else f"{wanted}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)


def _read(values: Mapping[str, Any], *, llm: bool) -> Server:
    kind: type[Server] = LLMServerSettings if llm else BackendSettings
    try:
        return kind.model_validate(dict(values))
    except ValidationError as failure:
        first = failure.errors(include_input=False, include_url=False)[0]
        key = str(first["loc"][0]) if first["loc"] else "url"
        message = f"{key} cannot be used: {first['msg'].removeprefix('Value error, ')}."
        raise InvalidParameter(key, message, hint=_HINTS.get(key, "Look at what was entered.")) from None


def _with_secret(server: Server, old: Server) -> Server:
    same = _origin(server.url) == _origin(old.url)
    if isinstance(server, BackendSettings):
        kept = old.authorization if same and isinstance(old, BackendSettings) else None
        return server if kept is None else server.model_copy(update={"authorization": kept})
    if same or not isinstance(old, LLMServerSettings) or server.key_env != old.key_env:
        return server
    return server.model_copy(update={"key_env": None})


def _origin(url: AnyHttpUrl) -> tuple[str, str | None, int | None]:
    return url.scheme, url.host, url.port


def _refuse_double(settings: Settings, server: Server, old: Server | None) -> None:
    others: Iterable[Server] = (
        each for each in (*settings.all_backends, *settings.all_llm_servers) if old is None or each.name != old.name
    )
    for each in others:
        if each.name == server.name:
            raise InvalidParameter("name", f"There is a server {server.name!r} already.", hint="Take another name.")
        if type(each) is type(server) and _address(each) == _address(server):
            raise InvalidParameter("url", f"That address is set up as {each.name!r} already.", hint="Change that one.")


def _all(settings: Settings, kind: type[Server]) -> tuple[Server, ...]:
    return settings.all_backends if kind is BackendSettings else settings.all_llm_servers


def _replaced(kept: list[Server], old: Server | None, server: Server) -> list[Server]:
    return [*kept, server] if old is None else [server if each == old else each for each in kept]


def _address(server: Server) -> str:
    return str(server.url).rstrip("/")
