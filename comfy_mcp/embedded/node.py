# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownLambdaType=false, reportUnknownParameterType=false
# Node classes and graphs are dynamic by their nature, here as in ComfyUI.
"""What a node class is to the engine: ComfyUI's classic form, and how `/object_info` tells of it.

Owns the reading of a class. Any pack of classic classes can be given to the engine; ours are written the same way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["MODELS", "NodeClass", "describe", "inputs_of"]

NodeClass = type[Any]

MODELS = "models:"
"""A choice list `[MODELS + folder]` stands for the files of a model folder at the time of asking."""


def inputs_of(cls: NodeClass, models: Mapping[str, list[str]]) -> dict[str, dict[str, Any]]:
    """INPUT_TYPES with model lists filled in: section → name → [type, options]. What is hidden has a name alone."""
    found: dict[str, dict[str, Any]] = {}
    for section, inputs in cls.INPUT_TYPES().items():
        found[section] = {name: _filled(spec, models) for name, spec in inputs.items()}
    return found


def _filled(spec: Any, models: Mapping[str, list[str]]) -> Any:
    if not isinstance(spec, tuple | list):
        return spec
    parts: list[Any] = list(spec)
    if isinstance(parts[0], str) and parts[0].startswith(MODELS):
        parts[0] = list(models.get(parts[0].removeprefix(MODELS), []))
    return parts


def describe(name: str, cls: NodeClass, models: Mapping[str, list[str]], title: str | None = None) -> dict[str, Any]:
    """The entry of `/object_info` (server.py, node_info). ``title`` is the display name that a pack gave."""
    inputs = inputs_of(cls, models)
    outputs = [list(kind) if isinstance(kind, list | tuple) else kind for kind in cls.RETURN_TYPES]
    told: dict[str, Any] = {
        "input": inputs,
        "input_order": {section: list(names) for section, names in inputs.items()},
        "output": outputs,
        "output_is_list": list(getattr(cls, "OUTPUT_IS_LIST", [False] * len(outputs))),
        "output_name": list(getattr(cls, "RETURN_NAMES", outputs)),
        "name": name,
        "display_name": title or getattr(cls, "DISPLAY_NAME", name),
        "description": getattr(cls, "DESCRIPTION", ""),
        "python_module": getattr(cls, "RELATIVE_PYTHON_MODULE", "nodes"),
        "category": getattr(cls, "CATEGORY", ""),
        "output_node": getattr(cls, "OUTPUT_NODE", False) is True,
    }
    if hasattr(cls, "OUTPUT_TOOLTIPS"):
        told["output_tooltips"] = list(cls.OUTPUT_TOOLTIPS)
    return told | {word.lower(): True for word in ("DEPRECATED", "EXPERIMENTAL") if getattr(cls, word, False)}
