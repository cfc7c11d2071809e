"""The pages as a reader pastes from them: fenced blocks, server configurations, and the variables of the commands."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast
from urllib.parse import SplitResult, urlsplit

import yaml

__all__ = [
    "CLIENTS",
    "CLIENT_PAGES",
    "ROOT",
    "Configuration",
    "blocks",
    "configurations",
    "filled",
    "servers",
    "variables",
]

ROOT = Path(__file__).parent.parent.parent
CLIENTS = ROOT / "docs" / "clients"
CLIENT_PAGES = sorted(page for page in CLIENTS.glob("*.md") if page.name != "README.md")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ASSIGNED = re.compile(r"\b(WORKBENCH_[A-Z_]+)=([^\s\\`]+)")
_PLACEHOLDER = re.compile(r"\{\{(\w+)\}\}|\$\{(?:env:|input:)?([\w-]+)\}")


@dataclass(frozen=True)
class Configuration:
    """One server of one block: what a chat is given to start (``command``) or to call (``url``)."""

    page: Path
    number: int
    server: Mapping[str, Any]

    @property
    def id(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.number}"

    @property
    def address(self) -> SplitResult:
        """Where a chat with a ``url`` calls."""
        return urlsplit(str(self.server["url"]))

    @property
    def headers(self) -> dict[str, str]:
        """As the chat sends them, placeholders unfilled; Open WebUI has the token apart."""
        headers = dict(self.server.get("headers", {}))
        if self.server.get("auth_type") == "bearer":
            headers["Authorization"] = f"Bearer {self.server['key']}"
        return headers


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and text of every fenced block."""
    return [(found[1], found[2]) for found in _FENCE.finditer(page.read_text())]


def variables(page: Path) -> dict[str, str]:
    """What a page says to put into the environment of the workbench; the first value where there are several."""
    return dict(_ASSIGNED.findall(page.read_text()))


@cache
def configurations() -> tuple[Configuration, ...]:
    """Every configuration on the pages of the clients and in the README."""
    found: list[Configuration] = []
    for page in (*CLIENT_PAGES, ROOT / "README.md"):
        found += [Configuration(page, number, server) for number, server in enumerate(servers(page), 1)]
    return tuple(found)


def servers(page: Path) -> list[Mapping[str, Any]]:
    """What every block of configuration on a page names; a block that cannot be read is an error."""
    return [server for language, text in blocks(page) for server in _servers(language, text)]


def _servers(language: str, text: str) -> list[Mapping[str, Any]]:
    match language:
        case "json":
            told: Any = json.loads(text)
        case "yaml":
            told = yaml.safe_load(text)
        case "text" if re.fullmatch(r"https?://\S+\n", text):
            return [{"url": text.strip()}]
        case _:
            return []
    if isinstance(told, list):
        return cast(list[Mapping[str, Any]], told)
    named = cast(dict[str, Any], told.get("mcpServers") or told["servers"])
    return list(named.values())


def filled(text: str, values: Mapping[str, str]) -> str:
    """As LibreChat and others do it: what is known is replaced, the rest stays as it is written."""
    return _PLACEHOLDER.sub(lambda found: values.get(_plain(found), found[0]), text)


def _plain(found: re.Match[str]) -> str:
    return (found[1] or found[2]).upper().replace("-", "_")
