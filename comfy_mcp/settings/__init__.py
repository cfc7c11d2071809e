"""The settings: what can be set (`settings`), their tables (`tables`), changes of their file (`writing`), and changes
while the workbench runs (`reloading`)."""

from comfy_mcp.settings.reloading import RELOADED, reloaded, said_alike
from comfy_mcp.settings.settings import Settings, is_loopback, load_settings, settings_file
from comfy_mcp.settings.tables import BackendSettings, FrontEndSettings, LLMServerSettings

__all__ = [
    "RELOADED",
    "BackendSettings",
    "FrontEndSettings",
    "LLMServerSettings",
    "Settings",
    "is_loopback",
    "load_settings",
    "reloaded",
    "said_alike",
    "settings_file",
]
