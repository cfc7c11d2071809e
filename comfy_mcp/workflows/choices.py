"""One out of a list that a ComfyUI offers: what a person means by a name, and what is taken when they give none.

Owns the matching: exact first, then what can mean only one. Nothing that is not offered ever comes out of a list.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from comfy_mcp.errors import InvalidParameter, MissingModel, nearest
from comfy_mcp.workflows.manifest import Parameter
from comfy_mcp.workflows.paths import MOST_NAME, is_plain_name

__all__ = ["MODEL_FILES", "default_choice", "matching_choice"]

MODEL_FILES = (".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".gguf", ".onnx", ".pkl")
"""How files of models end."""

_SHOWN = 64
_BETWEEN = re.compile(r"[\W_]+")


def matching_choice(name: str, parameter: Parameter, value: object, choices: Sequence[Any] | None) -> Any:
    """The choice that is meant, as it is offered: exact, or the only one alike but for case, separator, folder or
    the ending of a model file. Without ``choices`` (nobody knows them) a plain name is taken as it is.

    Raises:
        InvalidParameter: not a name, not offered, or it could mean several.
        MissingModel: there is not one file to choose from.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InvalidParameter(name, f"{name} is not a name.", hint="Give one of the names that are offered.")
    text = str(value)
    if choices is None:
        if not text or not is_plain_name(text.replace("\\", "/")):
            raise InvalidParameter(name, f"{name} is not a plain name.", hint="Give one of the names offered.")
        return value
    if not choices and parameter.type == "model":
        raise _nothing_offered(name, parameter)
    for choice in choices:
        if str(choice) == text:
            return choice
    alike = _alike(text, choices) if len(text) <= MOST_NAME else []
    if len(alike) == 1:
        return alike[0]
    raise _unclear(name, text, alike) if alike else _unknown(name, text, choices)


def default_choice(name: str, parameter: Parameter, choices: Sequence[Any]) -> Any:
    """What is taken when nobody gives one: the default, else the first one offered. A default of a model may be the
    start of a word in its name; and where one file is offered, it is meant.

    Raises:
        MissingModel: nothing is offered, or nothing like the default.
    """
    if not choices:
        raise _nothing_offered(name, parameter)
    wanted = parameter.default
    if wanted is None:
        return choices[0]
    if parameter.type != "model":
        return wanted
    alike = [choice for choice in choices if str(choice) == wanted] or _alike(str(wanted), choices)
    alike = alike or [choice for choice in choices if _begins_a_word(str(wanted), str(choice))]
    if not alike and len(choices) == 1:
        alike = list(choices)
    if not alike:
        known = [str(choice) for choice in choices]
        near = nearest(str(wanted), known) or known[:5]
        raise MissingModel(
            f"{name}: ComfyUI has no file like {wanted!r}.",
            hint=f"Give {name}. Nearest: {', '.join(near)}.",
            parameter=name,
            nearest=near,
        )
    return alike[0]


def _alike(text: str, choices: Sequence[Any]) -> list[Any]:
    """What the text can mean by the first rule that finds something."""
    rules: list[Callable[[str], str]] = [_folded]
    bare = not _folded(text).endswith(MODEL_FILES)
    if bare:
        rules.append(_without_ending)
    if "/" not in _folded(text):
        rules.append(lambda choice: _folded(choice).rpartition("/")[2])
        if bare:
            rules.append(lambda choice: _without_ending(choice).rpartition("/")[2])
    for rule in rules:
        found = [choice for choice in choices if rule(str(choice)) == _folded(text)]
        if found:
            return found
    return []


def _folded(text: str) -> str:
    return text.strip().casefold().replace("\\", "/")


def _without_ending(text: str) -> str:
    folded = _folded(text)
    ending = next((each for each in MODEL_FILES if folded.endswith(each)), "")
    return folded.removesuffix(ending)


def _begins_a_word(wanted: str, choice: str) -> bool:
    sought = _words(wanted)
    return bool(sought.strip()) and sought in _words(choice)


def _words(text: str) -> str:
    """The words of a name, each after one space."""
    return f" {_BETWEEN.sub(' ', text.casefold()).strip()}"


def _nothing_offered(name: str, parameter: Parameter) -> MissingModel:
    where = f" (read from {parameter.choices_from})" if parameter.choices_from else ""
    return MissingModel(
        f"ComfyUI offers nothing for {name}{where}.",
        hint="Put a file into the matching models folder of ComfyUI, then try again.",
        parameter=name,
    )


def _unclear(name: str, text: str, alike: list[Any]) -> InvalidParameter:
    names = [str(choice) for choice in alike[:5]]
    return InvalidParameter(
        name,
        f"{name} {text[:_SHOWN]!r} can mean {', '.join(names)}.",
        hint="Give the whole name of one.",
        nearest=names,
    )


def _unknown(name: str, text: str, choices: Sequence[Any]) -> InvalidParameter:
    known = [str(choice) for choice in choices]
    near = nearest(text[:_SHOWN], known) or known[:5]
    return InvalidParameter(
        name,
        f"{name} {text[:_SHOWN]!r} is unknown; nearest: {', '.join(near)}.",
        hint=f"Give one of the {len(known)} that are offered.",
        nearest=near,
    )
