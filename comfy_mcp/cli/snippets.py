"""What to paste into each chat, as the demo prints it."""

from __future__ import annotations

import textwrap

from comfy_mcp.settings import Settings
from comfy_mcp.snippets import CONTAINER_HOST, Address, Snippet, program, snippets_for

__all__ = ["snippets"]


def snippets(settings: Settings) -> str:
    """The configuration of every chat for this machine."""
    port = settings.port or 8190
    command = program()
    env = {} if settings.backends else {"WORKBENCH_COMFYUI_URL": settings.comfyui_url}
    address = Address(f"http://127.0.0.1:{port}", program=command, env=env)
    told = "\n".join(_told(each) for each in snippets_for(address))
    return f"""What to do next
  1. Start it:  {command} serve
     The page is then at http://127.0.0.1:{port}: forms, queue, gallery, and these configurations under Settings.
  2. Tell your chat where it is. In a container write {CONTAINER_HOST} for 127.0.0.1, and set
     WORKBENCH_ALLOWED_HOSTS={CONTAINER_HOST}:{port}

{told}"""


def _told(snippet: Snippet) -> str:
    return f"{snippet.title}: {snippet.where}\n{textwrap.indent(snippet.text, '  ')}"
