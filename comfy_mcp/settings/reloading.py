"""Taking up changes of the settings file while the workbench runs: which, and what they come to.

Owns the list of settings that take effect without a restart.
"""

from __future__ import annotations

from comfy_mcp.errors import SettingsError
from comfy_mcp.settings.settings import Settings, check_names, load_settings

__all__ = ["RELOADED", "reloaded", "said_alike"]

RELOADED = frozenset(
    {
        "a1111",
        "abandoned",
        "backends",
        "card",
        "client",
        "comfyui_authorization",
        "comfyui_url",
        "concurrency",
        "fetch_urls",
        "images",
        "inline_bytes",
        "inline_images",
        "job_timeout",
        "llm_servers",
        "llm_url",
        "locked",
        "max_attempts",
        "max_queue",
        "max_queue_per_owner",
        "queue_expiry",
        "retention",
        "wait",
    }
)
"""What takes effect without a restart when the settings file changes."""


def reloaded(current: Settings, before: Settings) -> tuple[Settings, Settings]:
    """``current`` with what changed in the file since ``before`` was read, and what is read now.

    What was given on the command line or in a variable stays. Raises SettingsError as `load_settings` does.
    """
    now = load_settings()
    changed = [name for name in RELOADED if not said_alike(name, now, before)]
    values = {name: getattr(now if name in changed else current, name) for name in Settings.model_fields}
    # A key that was taken out of the file is as if it had never been there.
    named = (current.model_fields_set - {*changed}) | (now.model_fields_set & {*changed})
    settings = Settings.model_construct(named, **values)
    try:
        check_names(settings)
    except ValueError as failure:
        raise SettingsError(
            f"The settings cannot be used together: {failure}.", hint="Give the backend another name."
        ) from None
    return settings, now


def said_alike(name: str, one: Settings, other: Settings) -> bool:
    """Whether both say the same of this setting, also when they say nothing."""
    return _said(one, name) == _said(other, name)


def _said(settings: Settings, name: str) -> object:
    return name in settings.model_fields_set, getattr(settings, name)
