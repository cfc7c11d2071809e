"""The values of a node's widgets by name, from the list by position that the canvas saves.

Owns the counting: which inputs have a place, and which extra values stand between them (widgetStore, `control after
generate`). A converted or linked widget keeps its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from comfy_mcp.workflows.object_info import InputInfo, NodeInfo

__all__ = ["widget_values"]

_ZERO = {"INT": 0, "FLOAT": 0.0, "STRING": "", "BOOLEAN": False}


def widget_values(info: NodeInfo, node: dict[str, Any]) -> dict[str, Any]:
    """Every widget of the node with its value; those that the file lacks get their default."""
    saved = node.get("widgets_values")
    widgets = [each for each in info.inputs if each.is_widget]
    if isinstance(saved, dict):
        named = cast(dict[str, Any], saved)
        return {each.name: _fixed(each, named.get(each.name, _default(each))) for each in widgets}
    values = iter(_without_forced(info, list(cast(list[Any], saved or []))))
    found: dict[str, Any] = {}
    for each in widgets:
        value = next(values, _default(each))
        found[each.name] = _fixed(each, _default(each) if value is None else value)
        _skip_controls(each, values)
    return found


def _skip_controls(each: InputInfo, values: Iterator[Any]) -> None:
    if each.control_after_generate:
        for _ in range(2 if each.type == "COMBO" else 1):
            next(values, None)


def _without_forced(info: NodeInfo, values: list[Any]) -> list[Any]:
    """Old files also hold values of inputs that are sockets only; recognised by the length of the list alone."""
    forced = [each for each in info.inputs if each.options.get("forceInput") and each.type in _ZERO]
    if not forced:
        return values
    slots: list[InputInfo | None] = []
    for each in info.inputs:
        if each.is_widget or each in forced:
            slots += [each, *([None] if each.control_after_generate else [])]
    if len(slots) != len(values):
        return values
    keep: list[Any] = []
    dropping = False
    for slot, value in zip(slots, values, strict=True):
        dropping = slot in forced if slot is not None else dropping
        if not dropping:
            keep.append(value)
    return keep


def _default(each: InputInfo) -> Any:
    if each.default is not None:
        return each.default
    if each.type == "COMBO":
        return each.choices[0] if each.choices else None
    return _ZERO.get(each.type)


def _fixed(each: InputInfo, value: Any) -> Any:
    """Lists are wrapped, since a bare one means a link; Windows separators follow what is offered."""
    if isinstance(value, list):
        return {"__value__": cast(list[Any], value)}
    if each.type == "COMBO" and each.choices and value not in each.choices and isinstance(value, str):
        for other in (value.replace("\\", "/"), value.replace("/", "\\"), value.removeprefix("sample_")):
            if other in each.choices:
                return other
    return value
