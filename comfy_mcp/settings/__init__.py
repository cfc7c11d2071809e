"""The settings: what can be set (`settings`), and the tables that name servers (`tables`)."""

from comfy_mcp.settings.settings import Settings, is_loopback, load_settings, reloaded, settings_file
from comfy_mcp.settings.tables import BackendSettings, LLMServerSettings

__all__ = [
    "BackendSettings",
    "LLMServerSettings",
    "Settings",
    "is_loopback",
    "load_settings",
    "reloaded",
    "settings_file",
]
