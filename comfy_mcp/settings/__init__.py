"""The settings: what can be set (`settings`), their tables (`tables`), and changes while it runs (`reloading`)."""

from comfy_mcp.settings.reloading import reloaded
from comfy_mcp.settings.settings import Settings, is_loopback, load_settings, settings_file
from comfy_mcp.settings.tables import BackendSettings, FrontEndSettings, LLMServerSettings

__all__ = [
    "BackendSettings",
    "FrontEndSettings",
    "LLMServerSettings",
    "Settings",
    "is_loopback",
    "load_settings",
    "reloaded",
    "settings_file",
]
