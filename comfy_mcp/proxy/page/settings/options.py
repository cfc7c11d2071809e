"""The settings that people change, each with its help, its range and where it is set.

Owns which those are and how they are shown. Everything of them but the words comes from `Settings`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from comfy_mcp.errors import InvalidParameter
from comfy_mcp.settings import RELOADED, FrontEndSettings, Settings, said_alike
from comfy_mcp.settings.writing import variable_of
from comfy_mcp.ui import to_say

__all__ = ["CHOICES", "GROUPS", "Group", "Option", "changes_of", "options_of"]

_SECONDS = to_say("seconds")

_LEAST_RATE = 120
"""Requests a minute: with fewer, who set them could not load the page to take it back."""

CHOICES: Mapping[str, str] = {
    "auto": to_say("where the chat can show them"),
    "never": to_say("never, links only"),
    "cancel": to_say("stop its job"),
    "keep": to_say("finish its job all the same"),
}
"""What the choices of settings are called; templates are called as they are."""


@dataclass(frozen=True, slots=True)
class _Asked:
    key: str
    label: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Options that are about one thing."""

    title: str
    asked: tuple[_Asked, ...]


def _front_end(key: str, title: str) -> Group:
    return Group(
        title,
        (
            _Asked(f"{key}.txt2img", to_say("Pictures from text")),
            _Asked(f"{key}.img2img", to_say("Pictures from a picture")),
            _Asked(f"{key}.inpaint", to_say("Parts of a picture")),
            _Asked(f"{key}.upscale", to_say("Enlarging")),
        ),
    )


GROUPS = (
    Group(
        to_say("In chats"),
        (
            _Asked("wait", to_say("Wait for a picture"), _SECONDS),
            _Asked("inline_images", to_say("Pictures inside answers")),
            _Asked("abandoned", to_say("When a chat gives up")),
            _Asked("fetch_urls", to_say("Fetch pictures from the internet")),
        ),
    ),
    Group(
        to_say("Queue"),
        (
            _Asked("max_queue", to_say("Most jobs that wait"), to_say("jobs")),
            _Asked("max_queue_per_owner", to_say("Most jobs of one person"), to_say("jobs")),
            _Asked("job_timeout", to_say("Longest run of a job"), _SECONDS),
            _Asked("max_attempts", to_say("Runs of one job")),
        ),
    ),
    Group(
        to_say("Access"),
        (
            _Asked("rate", to_say("Requests of one caller"), to_say("a minute")),
            _Asked("link_expiry", to_say("Links to pictures work for"), _SECONDS),
            _Asked("public_url", to_say("Address for links")),
            _Asked("allowed_hosts", to_say("Names that are answered to")),
            _Asked("comfyui_routes", to_say("ComfyUI's own routes")),
        ),
    ),
    _front_end("a1111", to_say("Templates for programs that speak A1111")),
    _front_end("images", to_say("Templates for programs that speak OpenAI images")),
)


@dataclass(frozen=True, slots=True)
class Option:
    """One of them. ``kind`` is the control: number, bool, choice, list or text. ``value`` is as a form has it; empty
    stands for the ``default``. ``fixed`` names what sets it elsewhere, "" when it can be changed here."""

    key: str
    label: str
    unit: str
    kind: str
    value: str
    default: str
    help: str
    restart: bool
    fixed: str
    choices: tuple[str, ...] = ()
    least: float | None = None
    most: float | None = None
    whole: bool = True


def options_of(settings: Settings, written: Settings, templates: Iterable[str]) -> list[tuple[Group, list[Option]]]:
    """All of them by group, as the settings are now; what needs a restart as it is ``written`` for the next start."""
    names = tuple(sorted(templates))
    return [(group, [_option(asked, settings, written, names) for asked in group.asked]) for group in GROUPS]


def changes_of(fields: Mapping[str, str], options: Iterable[Option], settings: Settings) -> dict[str, Any]:
    """The settings that a form changes, ready to be written. Raises InvalidParameter."""
    changes: dict[str, Any] = {}
    for option in options:
        told = fields.get(option.key, "").strip() if option.kind != "bool" else ("yes" if option.key in fields else "")
        if option.fixed or told == option.value or (option.kind != "bool" and option.key not in fields):
            continue
        key, _, part = option.key.partition(".")
        if part:
            held = changes.get(key, _said(getattr(settings, key)))
            changes[key] = {**held, part: _one_of(option, told)}
        else:
            changes[key] = _value(option, told)
    return changes


def _option(asked: _Asked, settings: Settings, written: Settings, templates: tuple[str, ...]) -> Option:
    key, _, part = asked.key.partition(".")
    field, restart = Settings.model_fields[key], key not in RELOADED
    value = getattr(written if restart else settings, key)
    shown, default = (getattr(value, part), part) if part else (value, field.get_default(call_default_factory=True))
    kind, choices = ("choice", templates) if part else _control(field)
    if part and shown not in choices:
        choices = (shown, *choices)
    limits = {
        name: getattr(each, name) for each in field.metadata for name in ("ge", "gt", "le") if hasattr(each, name)
    }
    return Option(
        asked.key,
        asked.label,
        asked.unit,
        kind,
        _text(shown),
        _text(default),
        "" if part else str(field.description),
        restart,
        _fixed(key, settings, written, restart=restart),
        choices,
        limits.get("ge", limits.get("gt")),
        limits.get("le"),
        field.annotation is int,
    )


def _control(field: FieldInfo) -> tuple[str, tuple[str, ...]]:
    kind: Any = field.annotation
    if get_origin(kind) is Literal:
        return "choice", tuple(get_args(kind))
    kinds = {kind, *get_args(kind)}
    if bool in kinds:
        return "bool", ()
    if get_origin(kind) is list:
        return "list", ()
    return ("number" if kinds & {int, float} else "text"), ()


def _text(value: Any) -> str:
    match value:
        case None | False:
            return ""
        case True:
            return "yes"
        case list():
            return ", ".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        case float() if value.is_integer():
            return str(int(value))
        case _:
            return str(value)


def _fixed(key: str, settings: Settings, written: Settings, *, restart: bool) -> str:
    # What needs a restart differs from what is written as long as nobody restarted.
    return variable_of(key) or ("" if restart or said_alike(key, settings, written) else "start")


def _said(front_end: FrontEndSettings) -> dict[str, Any]:
    return {name: getattr(front_end, name) for name in sorted(front_end.model_fields_set)}


def _one_of(option: Option, told: str) -> str:
    if told not in option.choices:
        raise InvalidParameter(option.key, f"There is no template {told[:64]!r}.", hint="Choose one of the list.")
    return told


def _value(option: Option, told: str) -> Any:
    """What is written for this; None, which is the default, for nothing. Raises InvalidParameter."""
    if option.kind == "bool":
        return bool(told)
    if not told:
        return None
    if option.kind == "list":
        return [part.strip() for part in told.split(",") if part.strip()]
    if option.kind != "number":
        return told
    number = _number(option, told)
    if option.key == "rate" and 0 < number < _LEAST_RATE:
        message = f"Fewer than {_LEAST_RATE} requests a minute keep everybody out, of this page, too."
        raise InvalidParameter(option.key, message, hint="0 is for any number.")
    return number


def _number(option: Option, told: str) -> int | float:
    """Raises InvalidParameter for what is none; its range is looked at where it is written."""
    try:
        number = int(told) if option.whole else float(told)
        if math.isfinite(number):
            return number
    except (ValueError, OverflowError):
        # No digits, more of them than are read, or more than a float holds.
        pass
    raise InvalidParameter(option.key, f"{told[:32]!r} is no number that fits.", hint="Write digits only.")
