"""Which LLM servers a person has set up for the nodes, from the environment and a file. Keys stay in the environment.

Read when they are first needed. Nothing here asks a server.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from comfy_nodes.host import user_folder
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BadInput
from llm_bridge.providers.registry import DIALECTS, dialect_named

__all__ = ["provider_names", "set_up_servers"]

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "name": str,
    "url": str,
    "kind": str,
    "key_env": str,
    "concurrency": int,
    "max_loaded": int,
    "card": str,
    "cost": (int, float),
    "tags": list,
}
"""The keys of a `[[llm_servers]]` table, as the workbench's settings have them; the nodes have no use for ``tags``."""


def set_up_servers() -> list[Endpoint]:
    """The servers of ``WORKBENCH_LLM_URL`` (addresses, separated by commas), then those of the settings file.

    The file is llm_servers.toml in the pack's folder of ComfyUI's user folder, or the workbench's own settings, which
    ``WORKBENCH_SETTINGS`` names. An empty list means that servers are looked for on this machine.

    Raises: BadInput when the file cannot be used.
    """
    told = _read(_file())
    given, tables = os.environ.get("WORKBENCH_LLM_URL") or told.get("llm_url", ""), told.get("llm_servers", [])
    if not isinstance(given, str) or not isinstance(tables, list):
        raise _unusable(_file(), "llm_url is a text, and llm_servers are tables: [[llm_servers]]")
    named = [_endpoint(table) for table in cast("list[Any]", tables)]
    known = {endpoint.root for endpoint in named}
    plain = {Endpoint("llm", url.strip()).root: url.strip() for url in given.split(",") if url.strip()}
    unnamed = [url for root, url in plain.items() if root not in known]
    numbered = [Endpoint("llm" if number == 1 else f"llm-{number}", url) for number, url in enumerate(unnamed, start=1)]
    _check_names(endpoints := [*numbered, *named])
    return endpoints


def _check_names(endpoints: Sequence[Endpoint]) -> None:
    names = Counter(endpoint.name for endpoint in endpoints)
    if twice := [name for name, count in names.items() if count > 1]:
        raise _unusable(_file(), f"two servers are called {twice[0][:64]!r}; addresses without a name are llm, llm-2 …")


def provider_names() -> list[str]:
    """What can be chosen as a server without asking anybody: those that are set up, else every kind with a port."""
    try:
        endpoints = set_up_servers()
    except BadInput:
        # The list of nodes must not fail for it; the first use says what is wrong.
        endpoints = []
    return [endpoint.name for endpoint in endpoints] or [dialect.kind for dialect in DIALECTS if dialect.ports]


def _file() -> Path:
    named = os.environ.get("WORKBENCH_SETTINGS")
    own = user_folder() / "llm_servers.toml"
    return own if not named or _there(own) else Path(named)


def _there(file: Path) -> bool:
    try:
        return file.exists()
    except OSError:
        return True  # Who reads it is told why it cannot be.


def _read(file: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as failure:
        raise _unusable(file, str(getattr(failure, "strerror", None) or failure)) from None


def _endpoint(table: Any) -> Endpoint:
    file = _file()
    if not isinstance(table, dict) or not {"name", "url"} <= table.keys():
        raise _unusable(file, "a table of llm_servers needs a name and a url")
    told = cast("dict[str, Any]", table)
    for key, value in told.items():
        if key not in _TYPES:
            raise _unusable(file, f"there is no key {key[:64]!r}; known are {', '.join(_TYPES)}")
        if not isinstance(value, _TYPES[key]) or isinstance(value, bool):
            raise _unusable(file, f"{key} of {str(told['name'])[:64]} is of the wrong type")
    if not _NAME.fullmatch(told["name"]):
        raise _unusable(file, f"the name {told['name'][:64]!r} has more than small letters, digits, - and _")
    if told.get("concurrency", 1) < 1 or told.get("max_loaded", 1) < 0 or told.get("cost", 0) < 0:
        raise _unusable(file, f"concurrency of {told['name'][:64]} is at least 1, max_loaded and cost at least 0")
    kind = told.get("kind")
    return Endpoint(
        told["name"],
        told["url"],
        kind and dialect_named(kind).kind,
        told.get("key_env"),
        told.get("concurrency", 1),
        told.get("max_loaded", 1) or None,
        told.get("card", ""),
        told.get("cost", 0.0),
    )


def _unusable(file: Path, why: str) -> BadInput:
    return BadInput(
        f"{file.name} cannot be used: {why}.", hint="docs/nodes.md describes it; restart ComfyUI afterwards."
    )
