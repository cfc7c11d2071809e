"""Backends, language models, tokens, clients, and the health of all."""

from comfy_mcp.proxy.page.settings.routes import add_settings

__all__ = ["add_settings"]
