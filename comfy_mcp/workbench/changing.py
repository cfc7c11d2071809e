"""Settings that a person changes while the workbench runs: written to the file, and what they come to here.

Owns what is refused because it would change nothing. The form of the file is `comfy_mcp.settings.writing`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from anyio import to_thread

from comfy_mcp.errors import Conflict
from comfy_mcp.settings import RELOADED, Settings, load_settings, reloaded, said_alike

__all__ = ["Changes", "written"]

Changes = Mapping[str, Any] | Callable[[Settings], Mapping[str, Any]]
"""Keys and their values, None to take one out; or what makes them of the settings that hold when it is their turn."""


async def written(changes: Changes, current: Settings) -> Settings:
    """Write the changes, and give the settings that hold now instead of the ``current`` ones.

    Raises:
        Conflict: a variable, or who started the workbench, sets the key.
        InvalidParameter: there is no such key, or its value cannot be used.
        SettingsError: the file cannot be used or written.
        WorkbenchError: what makes the changes refuses.
    """
    return await to_thread.run_sync(_written, changes, current)


def _written(told: Changes, current: Settings) -> Settings:
    # It reads and writes TOML with its comments, which only who changes something needs.
    from comfy_mcp.settings.writing import variable_of, write_settings

    changes = told(current) if callable(told) else told
    if not changes:
        return current
    before = load_settings()
    for key in RELOADED & changes.keys():
        if variable_of(key) is None and not said_alike(key, before, current):
            raise Conflict(
                f"The setting {key} was given when the workbench was started, or was changed a moment ago.",
                hint="Look again; if it stays so, start the workbench without it.",
                parameter=key,
            )
    write_settings(changes)
    settings, _ = reloaded(current, before)
    return settings
