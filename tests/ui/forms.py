"""Descriptions of templates to make forms of, as `describe` gives them."""

from __future__ import annotations

from typing import Any

from comfy_mcp.ui import environment
from comfy_mcp.ui.forms import Form
from comfy_mcp.workflows import Catalogue, describe, shipped_folder

__all__ = ["CATALOGUE", "STYLES", "described", "parameter", "rendered", "shipped"]

CATALOGUE = Catalogue.load([shipped_folder()])
STYLES = [{"id": name, "title": style.title, "thumbnail": None} for name, style in CATALOGUE.styles.items()]


def parameter(name: str, kind: str, **told: Any) -> dict[str, Any]:
    plain = {"label": name, "help": "", "group": "", "advanced": False, "required": False, "default": None}
    return {"name": name, "type": kind, **plain, "min": None, "max": None, "step": None, "choices": None, **told}


def described(*parameters: dict[str, Any], style: bool = False) -> dict[str, Any]:
    told = {"id": "mine", "title": "Mine", "description": "", "shipped": False, "style": style}
    return {**told, "parameters": list(parameters)}


def shipped(name: str, **choices: list[str]) -> dict[str, Any]:
    """A shipped template where each of these parameters has these choices, the first of them by default."""
    told = describe(CATALOGUE.get(name), object_info=None)
    for each in told["parameters"]:
        if each["name"] in choices:
            each["choices"] = choices[each["name"]]
            each["default"] = each["choices"][0]
    return told


def rendered(form: Form, language: str = "en") -> str:
    macros: Any = environment(language).get_template("ui/form.html").module
    return str(macros.form_fields(form))
