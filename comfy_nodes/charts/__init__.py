"""Charts: a Vega-Lite specification becomes a PNG, in a process that is killed when it takes too long.

A specification from a model may never end or take all memory. Owns what of the library's words people read, and the
size of the picture; the process is `process`'s, what a specification may hold `specification`'s. For the node Chart.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from comfy_nodes.charts.process import ran
from comfy_nodes.charts.specification import checked, sized
from comfy_nodes.charts.themes import config_of
from llm_bridge.errors import BadInput, NotInstalled

__all__ = ["DEADLINE", "MOST_PIXELS", "drawn"]

DEADLINE = 30.0
"""Seconds that one chart may take."""

MOST_PIXELS = 4096**2

_PNG = b"\x89PNG"
_MOST_ASKED = 8_000_000
_MOST_TOLD = 8 * MOST_PIXELS
_MOST_WORDS = 300
_FRAME = re.compile(r"^(?:ERROR )?(?:\w*Error: )*")
_SIMPLER = "Make the chart simpler: fewer rows, fewer marks, no large sequences."


async def drawn(
    spec: Mapping[str, Any],
    *,
    width: int = 0,
    height: int = 0,
    scale: float = 1.0,
    theme: str = "light",
    deadline: float = DEADLINE,
) -> bytes:
    """The chart as a PNG of ``width`` × ``height``, times ``scale``, pixels; 0 leaves it to the specification.

    A chart of several views has the size that its views need; it keeps its proportions, and fills what it may.

    Raises:
        BadInput: the specification is not one, loads something, or takes too long; in words that its writer can use.
        NotInstalled: vl-convert-python is missing.
    """
    if find_spec("vl_convert") is None:
        raise NotInstalled(
            "Charts need vl-convert-python.",
            hint="Run `python -m pip install vl-convert-python` with the Python that runs ComfyUI.",
        )
    told = {"config": config_of(theme), "width": width, "height": height, "scale": scale, "most_pixels": MOST_PIXELS}
    asked = await asyncio.to_thread(lambda: json.dumps({**told, "spec": sized(checked(spec), width, height)}).encode())
    if len(asked) > _MOST_ASKED:
        raise BadInput(f"The specification is larger than {_MOST_ASKED} bytes.", hint=_SIMPLER)
    try:
        return _picture(*await ran(asked, _MOST_TOLD, deadline))
    except TimeoutError:
        raise BadInput(f"The chart took longer than {deadline:g} seconds.", hint=_SIMPLER) from None


def _picture(ended: int, told: bytes, logged: bytes) -> bytes:
    lines = logged.decode(errors="replace").splitlines()
    # What goes wrong while it draws is only logged, and leaves an empty picture.
    if wrong := next((line for line in lines if line.startswith("ERROR ")), ""):
        raise _refused(wrong)
    if ended != 0:
        raise BadInput("The chart took more memory or time than it may have.", hint=_SIMPLER)
    if told.startswith(_PNG):
        return told
    raise _refused(json.loads(told)["error"])


def _refused(words: str) -> BadInput:
    """What Vega-Lite says, without where in its own code it says so."""
    said = words.removeprefix("Vega-Lite to SVG conversion failed:").strip().partition("\n")[0]
    return BadInput(
        f"Vega-Lite cannot draw this: {_FRAME.sub('', said)[:_MOST_WORDS]}",
        hint="Mend the specification; its marks, types, fields and expressions must be Vega-Lite's.",
    )
