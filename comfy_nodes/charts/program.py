"""A Vega-Lite specification as a PNG, by vl_convert. A program, so that it can be killed.

Reads one JSON object on stdin, {"spec", "config", "width", "height", "scale", "most_pixels"}, and writes the PNG, or
{"error": why not} as JSON. Stands alone: it imports nothing of the nodes or of the bridge.
"""

from __future__ import annotations

import json
import re
import sys
from contextlib import suppress
from typing import Any

__all__ = ["picture"]

_MOST_MEMORY = 3 * 2**29
"""Bytes that it may write to, of which V8 and its threads have 0.6 GB before anything is drawn; 80 000 marks take 1 GB.

The address space cannot be bounded: V8 reserves 64 GB of it.
"""
_MOST_SECONDS = 120
"""Of processor time, so that it ends even when nobody is left to kill it."""

_SIZE = re.compile(r'<svg\b[^>]*? width="([\d.]+)" height="([\d.]+)"')


def picture(asked: dict[str, Any]) -> bytes:
    """The PNG. Raises: ValueError, with what is wrong."""
    import vl_convert

    # No address is allowed. That holds for data over the network only, so files and pictures are refused besides.
    svg = vl_convert.vegalite_to_svg(asked["spec"], config=asked["config"], allowed_base_urls=[])
    if "<image" in svg:
        raise ValueError("A chart may not show pictures.")
    size = _SIZE.match(svg)
    if size is None:
        raise ValueError("The chart has no size.")
    width, height = map(float, size.groups())
    wanted = ((asked["width"], width), (asked["height"], height))
    scale = asked["scale"] * min((most / has for most, has in wanted if most and has), default=1.0)
    if width * height * scale**2 > asked["most_pixels"]:
        raise ValueError(
            f"The chart would have {width * scale:.0f} × {height * scale:.0f} pixels, and may have "
            f"{asked['most_pixels']}. Give it a width and a height, or a smaller scale."
        )
    return vl_convert.svg_to_png(svg, scale=scale)


def _limit() -> None:
    try:
        import resource
    except ImportError:
        return  # Windows has none; there the deadline has to do.
    limits = (
        (resource.RLIMIT_DATA, _MOST_MEMORY),
        (resource.RLIMIT_CPU, _MOST_SECONDS),
        (resource.RLIMIT_CORE, 0),
    )
    for kind, most in limits:
        # A limit that is lower already stays.
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (most, most))


def _main() -> None:
    _limit()
    try:
        told = picture(json.load(sys.stdin))
    except ValueError as failure:
        told = json.dumps({"error": str(failure)}).encode()
    sys.stdout.buffer.write(told)


if __name__ == "__main__":
    _main()
