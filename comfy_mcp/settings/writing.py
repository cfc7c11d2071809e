"""Changing keys of the settings file: what a person wrote around them stays, and a file that cannot be used is not
written.

Owns the form of values in the file. Called, off the event loop, by who changes settings for a person.
"""

from __future__ import annotations

import os
import tempfile
import threading
import tomllib
from collections.abc import Generator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeGuard, cast

import tomlkit
from pydantic import AnyUrl, BaseModel, SecretStr, ValidationError
from pydantic_settings import PydanticBaseSettingsSource
from tomlkit import TOMLDocument
from tomlkit.exceptions import ParseError
from tomlkit.items import AoT, Table

from comfy_mcp.errors import Conflict, InvalidParameter, SettingsError
from comfy_mcp.settings.settings import Settings, settings_file

__all__ = ["variable_of", "write_settings"]

_ONE_AT_A_TIME = threading.Lock()
_HINT = "settings.example.toml describes every key."


class _Written(Settings):
    """The settings as a file of these keys makes them, together with the variables that are set now."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[Any],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


def variable_of(key: str) -> str | None:
    """The environment variable that sets this key now, and wins over the file."""
    wanted = f"WORKBENCH_{key}".upper()
    return next((name for name, value in os.environ.items() if name.upper() == wanted and value), None)


def write_settings(changes: Mapping[str, Any], file: Path | None = None) -> None:
    """Change these keys of the settings file, None to take one out; comments and order stay.

    The file is made when it is not there. Tables of a list that have a ``name`` stay where they are.

    Raises:
        Conflict: a variable sets the key, and would win.
        InvalidParameter: there is no such key, or its value cannot be used; the file is as it was.
        SettingsError: the file cannot be used as it is, or cannot be written.
    """
    for key in changes:
        _refuse_unchangeable(key)
    path = (file or settings_file()).expanduser()
    with _ONE_AT_A_TIME, _told_of_the_disk():
        # Who links to a file elsewhere keeps the link.
        path = path.resolve()
        document = _read(path)
        for key, value in changes.items():
            _change(cast("MutableMapping[str, Any]", document), key, None if value is None else _plain(value))
        text = document.as_string()
        _check(tomllib.loads(text), changes)
        _replace(path, text)


def _refuse_unchangeable(key: str) -> None:
    if key not in Settings.model_fields:
        raise InvalidParameter(key[:64], f"There is no setting {key[:64]!r}.", hint=_HINT)
    if (variable := variable_of(key)) is not None:
        raise Conflict(
            f"The variable {variable} sets {key}, and wins over the settings file.",
            hint="Change it there, or start the workbench without it.",
            parameter=key,
        )


@contextmanager
def _told_of_the_disk() -> Generator[None]:
    """What the disk refuses, in our words and without a path."""
    try:
        yield
    except OSError as failure:
        raise SettingsError(
            f"The settings file cannot be changed: {failure.strerror}.",
            hint="Let the workbench write there, or name another file with WORKBENCH_SETTINGS.",
        ) from None


def _read(path: Path) -> TOMLDocument:
    try:
        return tomlkit.parse(path.read_bytes().decode())
    except FileNotFoundError:
        return tomlkit.document()
    except (ParseError, UnicodeDecodeError):
        raise SettingsError("The settings file is no TOML.", hint="Mend it by hand first.") from None


def _plain(value: object) -> Any:
    """A value as TOML has it."""
    match value:
        case BaseModel():
            return {name: _plain(getattr(value, name)) for name in type(value).model_fields if _said(value, name)}
        case SecretStr():
            return value.get_secret_value()
        case AnyUrl():
            return str(value).rstrip("/")
        case Path() | StrEnum():
            return str(value)
        case Mapping():
            told = cast("Mapping[str, object]", value)
            return {name: _plain(each) for name, each in told.items() if each is not None}
        case frozenset():
            return sorted(cast("frozenset[str]", value))
        case list() | tuple():
            return [_plain(each) for each in cast("Sequence[object]", value)]
        case _:
            return value


def _said(model: BaseModel, name: str) -> bool:
    return name in model.model_fields_set and getattr(model, name) is not None


def _change(document: MutableMapping[str, Any], key: str, value: Any) -> None:
    old = document.get(key)
    if value is None or (value == [] and isinstance(old, AoT)):
        document.pop(key, None)
    elif isinstance(old, AoT) and _are_tables(value):
        _change_tables(old, value)
    elif isinstance(old, Table) and isinstance(value, dict):
        _change_table(old, cast("dict[str, Any]", value))
    elif _are_tables(value):
        document[key] = _tables(value)
    else:
        document[key] = value


def _are_tables(value: Any) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and bool(cast("list[Any]", value)) and isinstance(value[0], dict)


def _tables(value: list[dict[str, Any]]) -> AoT:
    tables = tomlkit.aot()
    for each in value:
        cast("list[Any]", tables).append(tomlkit.item(each))
    return tables


def _change_tables(old: AoT, wanted: list[dict[str, Any]]) -> None:
    """Those of a name keep their place and what is written in them; the others go, and new ones come last."""
    by_name = {str(each.get("name")): each for each in wanted}
    for index in reversed(range(len(old))):
        table = old[index]
        if (value := by_name.pop(str(table["name"]), None)) is None:
            del old[index]
        else:
            _change_table(table, value)
    for value in by_name.values():
        cast("list[Any]", old).append(tomlkit.item(value))


def _change_table(table: Table, value: dict[str, Any]) -> None:
    for name in [name for name in table if name not in value]:
        del table[name]
    for name, each in value.items():
        if name not in table or table[name] != each:
            table[name] = each


def _check(told: dict[str, Any], changes: Mapping[str, Any]) -> None:
    unknown = next((key for key in told if key not in Settings.model_fields), None)
    if unknown is not None:
        raise SettingsError(f"The settings file has the key {unknown[:64]!r}, which is none.", hint=_HINT)
    try:
        _Written(**told)
    except ValidationError as failure:
        first = failure.errors(include_input=False, include_url=False)[0]
        where = [str(part) for part in first["loc"]] or [next(iter(changes), "settings")]
        message = f"The setting {'.'.join(where)!r} cannot be used: {first['msg'].removeprefix('Value error, ')}."
        if where[0] in changes:
            raise InvalidParameter(where[0], message, hint=_HINT) from None
        raise SettingsError(message, hint=_HINT) from None


def _replace(path: Path, text: str) -> None:
    """Write it whole, or leave what is there."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(prefix=".settings-", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(handle)
        if path.exists():
            # It may hold secrets, and it may be meant for others to read: who made it said.
            Path(temporary).chmod(path.stat().st_mode & 0o777)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
