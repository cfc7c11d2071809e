"""The specification in what a person or a model wrote: bare, fenced, or with words around it.

Slips in its JSON are mended where `json_repair` is installed. For the node Chart.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from typing import Any, cast

from comfy_nodes.charts.specification import Spec
from llm_bridge.errors import BadInput
from llm_bridge.matching import mended

__all__ = ["spec_of"]

_MOST_LETTERS = 2_000_000
_FENCED = re.compile(r"^[ \t]*```[^\n]*\n(.*?)^[ \t]*```", re.DOTALL | re.MULTILINE)


async def spec_of(text: str) -> Spec:
    """The JSON object in the text; of several the last in a fence. Raises: BadInput, in words for who wrote it."""
    parts = await asyncio.to_thread(_parts, text)
    spec, wrong = await asyncio.to_thread(_read, parts)
    found = spec or await _mended(parts)
    if not found:
        raise BadInput(f"The specification is not JSON: {wrong}.", hint="Write it again, as one JSON object.")
    return found


def _parts(text: str) -> list[str]:
    """Where it may begin. The last of several is what a model settled on."""
    if len(text) > _MOST_LETTERS:
        raise BadInput(f"The specification is longer than {_MOST_LETTERS} letters.", hint="Leave rows out.")
    parts = [part[part.find("{") :] for part in (*reversed(_FENCED.findall(text)), text) if "{" in part]
    if not parts:
        raise BadInput("There is no JSON object in the text.", hint="Write one Vega-Lite specification as JSON.")
    return parts


def _read(parts: Sequence[str]) -> tuple[Spec | None, str]:
    """What the first of the parts that can be read begins with, and what is wrong with the others."""
    wrong = ""
    for part in parts:
        try:
            value = json.JSONDecoder().raw_decode(part)[0]
        except ValueError as failure:
            wrong = str(failure)
        except RecursionError:
            wrong = "it is too deep"
        else:
            if spec := _spec(value):
                return spec, ""
            wrong = wrong or "it is no object with anything in it"
    return None, wrong


async def _mended(parts: Sequence[str]) -> Spec | None:
    """The first that can be mended; words behind the last brace are none of it."""
    for part in parts:
        if found := _spec(await mended(part[: part.rfind("}") + 1] or part)):
            return found
    return None


def _spec(value: Any) -> Spec | None:
    return cast("Spec", value) if value and isinstance(value, dict) else None
