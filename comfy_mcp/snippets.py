"""What to paste into each chat so that it finds this workbench: the one source for the command line and the page.

Owns the forms of the configurations and where each goes; `docs/clients` says more of each chat.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

__all__ = ["CONTAINER_HOST", "PLACEHOLDER", "PROGRAM", "Address", "Snippet", "program", "snippets_for"]

CONTAINER_HOST = "host.docker.internal"
"""What containers call the machine that they run on."""
PLACEHOLDER = "YOUR-TOKEN"
"""Stands for the token, which is shown only when it is made."""
PROGRAM = "/path/to/.venv/bin/comfy-workbench"
"""Where the command is, for who need not know the paths of this machine."""
_MILLISECONDS = 300_000


@dataclass(frozen=True, slots=True)
class Address:
    """How a chat reaches the workbench: ``base`` without a path, and a ``token`` or what stands for it, None where none
    is asked for. A chat that starts the workbench itself runs ``program`` with the variables ``env``."""

    base: str
    token: str | None = None
    program: str = PROGRAM
    env: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def mcp(self) -> str:
        return f"{self.base}/mcp"

    @property
    def place(self) -> str:
        """Host and port."""
        return urlsplit(self.base).netloc

    @property
    def headers(self) -> dict[str, Any]:
        return {} if self.token is None else {"headers": {"Authorization": f"Bearer {self.token}"}}

    def within_container(self) -> Address:
        """The same for a chat in a container of this machine."""
        port = urlsplit(self.base).port
        return Address(f"http://{CONTAINER_HOST}{f':{port}' if port else ''}", self.token, self.program, self.env)


@dataclass(frozen=True, slots=True)
class Snippet:
    """A configuration for ``title``. ``where`` says where it goes, ``kind`` is json, yaml or shell; ``local`` chats
    start the workbench themselves. ``page`` is the document with more."""

    id: str
    title: str
    where: str
    kind: str
    text: str
    local: bool = False

    @property
    def page(self) -> str:
        return f"docs/clients/{self.id}.md"


def program() -> str:
    """The command of this installation."""
    return str(Path(sys.executable).with_name("comfy-workbench"))


def snippets_for(address: Address) -> tuple[Snippet, ...]:
    """One for each chat, in the order in which they are shown."""
    return tuple(make(address) for make in _MAKERS)


def _librechat(address: Address) -> Snippet:
    token = f'\n    headers:\n      Authorization: "Bearer {address.token}"' if address.token else ""
    text = f"""\
mcpSettings:
  allowedAddresses: ["{address.place}"]   # exactly host:port, else LibreChat refuses a private address
fileConfig:
  imageGeneration: {{ percentage: 100 }}   # else LibreChat shrinks pictures to 768 px
mcpServers:
  comfyui:
    type: streamable-http
    url: {address.mcp}
    timeout: {_MILLISECONDS}
    initTimeout: 15000
    serverInstructions: true
    requiresOAuth: false{token}
"""
    return Snippet("librechat", "LibreChat", "Into librechat.yaml; then restart LibreChat.", "yaml", text)


def _lobehub(address: Address) -> Snippet:
    where = "Plugins, add a custom one, type MCP, quick import. A token goes into its form: Auth, Bearer."
    text = _json({"mcpServers": {"comfyui": {"url": address.mcp}}})
    return Snippet("lobehub", "LobeHub", where, "json", text)


def _open_webui(address: Address) -> Snippet:
    connection = {
        "type": "mcp",
        "url": address.mcp,
        "path": "",
        "auth_type": "none" if address.token is None else "bearer",
        "key": address.token or "",
        "headers": {"X-Workbench-Client": "open-webui"},
        "config": {"enable": True},
        "info": {"id": "comfyui", "name": "ComfyUI", "description": "Pictures from the ComfyUI in this house"},
    }
    where = (
        "Admin settings, External tools, import; or add a connection of type MCP (Streamable HTTP) with these fields."
    )
    return Snippet("open-webui", "Open WebUI", where, "json", _json([connection]))


def _claude_desktop(address: Address) -> Snippet:
    server = {"command": address.program, "args": ["stdio"], "env": dict(address.env)}
    where = (
        "Settings, Developer, Edit Config (claude_desktop_config.json); then restart it. It starts the program itself."
    )
    text = _json({"mcpServers": {"comfyui": server}})
    return Snippet("claude-desktop", "Claude Desktop", where, "json", text, local=True)


def _claude_code(address: Address) -> Snippet:
    text = _json({"mcpServers": {"comfyui": {"type": "http", "url": address.mcp, **address.headers}}})
    return Snippet("claude-code", "Claude Code", "Into .mcp.json of a project.", "json", text)


def _lm_studio(address: Address) -> Snippet:
    server = {"url": address.mcp, **address.headers, "timeout": _MILLISECONDS}
    where = "Program, Install, Edit mcp.json. Choose a model that can call tools."
    return Snippet("lm-studio", "LM Studio", where, "json", _json({"mcpServers": {"comfyui": server}}))


def _jan(address: Address) -> Snippet:
    server = {"type": "http", "url": address.mcp, **address.headers, "active": True}
    where = "Settings, MCP Servers, +, as JSON."
    return Snippet("jan", "Jan", where, "json", _json({"mcpServers": {"comfyui": server}}))


def _cursor(address: Address) -> Snippet:
    text = _json({"mcpServers": {"comfyui": {"url": address.mcp, **address.headers}}})
    where = "Into ~/.cursor/mcp.json, or .cursor/mcp.json in one project; then switch it on in the settings."
    return Snippet("cursor", "Cursor", where, "json", text)


def _vs_code(address: Address) -> Snippet:
    text = _json({"servers": {"comfyui": {"type": "http", "url": address.mcp, **address.headers}}})
    where = "Into .vscode/mcp.json, or the file that MCP: Open User Configuration opens. Use the tools in agent mode."
    return Snippet("vs-code", "VS Code", where, "json", text)


def _json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"


_MAKERS: tuple[Callable[[Address], Snippet], ...] = (
    _librechat,
    _lobehub,
    _open_webui,
    _claude_desktop,
    _claude_code,
    _lm_studio,
    _jan,
    _cursor,
    _vs_code,
)
