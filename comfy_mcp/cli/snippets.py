"""What to paste into each chat. Owns the wording that the demo prints; the README shows the same."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from comfy_mcp.settings import Settings

__all__ = ["snippets"]


def snippets(settings: Settings) -> str:
    """The configuration of LibreChat, LobeHub, Open WebUI and Claude Desktop for this machine."""
    url = f"http://127.0.0.1:{settings.port or 8190}/mcp"
    program = Path(sys.executable).with_name("comfy-workbench")
    env = {"WORKBENCH_COMFYUI_URL": settings.comfyui_url}
    desktop = {"mcpServers": {"comfyui": {"command": str(program), "args": ["stdio"], "env": env}}}
    return f"""What to do next
  1. Start it:  {program} serve
  2. Tell your chat where it is.

LibreChat, in librechat.yaml (in a container write host.docker.internal for 127.0.0.1, and set
WORKBENCH_ALLOWED_HOSTS=host.docker.internal:{settings.port or 8190}):
  mcpSettings:
    allowedAddresses: ["127.0.0.1:{settings.port or 8190}"]
  fileConfig:
    imageGeneration: {{ percentage: 100 }}
  mcpServers:
    comfyui:
      type: streamable-http
      url: {url}
      timeout: 300000
      requiresOAuth: false

LobeHub: Plugins, custom, MCP, Streamable HTTP: {url}

Open WebUI: Admin settings, External tools, type MCP (Streamable HTTP): {url}

Claude Desktop (starts the program itself), in claude_desktop_config.json:
{json.dumps(desktop, indent=2)}
"""
