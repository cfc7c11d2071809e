"""How charts look where their specification does not say: colours for light and dark, and texts that can be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llm_bridge.errors import BadInput

__all__ = ["THEMES", "config_of"]


@dataclass(frozen=True, slots=True)
class _Colours:
    paper: str
    ink: str
    faint: str
    line: str
    mark: str


THEMES: Mapping[str, _Colours] = {
    "light": _Colours(paper="#ffffff", ink="#1f2328", faint="#57606a", line="#d8dee4", mark="#3b76af"),
    "dark": _Colours(paper="#1b1d21", ink="#e6e8eb", faint="#a6adb6", line="#3a3f46", mark="#6ea8dc"),
}


def config_of(theme: str) -> dict[str, Any]:
    """Vega-Lite's `config`; what a specification says in its own comes before it.

    Raises: BadInput for a name that is none.
    """
    if theme not in THEMES:
        raise BadInput(f"There is no theme “{theme}”.", hint=f"Choose one of {', '.join(THEMES)}.")
    colours = THEMES[theme]
    labels = {"labelFontSize": 13, "labelColor": colours.faint, "labelLimit": 320}
    titles = {"titleFontSize": 13, "titleColor": colours.ink}
    line = {"color": colours.ink}
    return {
        "background": colours.paper,
        "padding": 16,
        "font": "sans-serif",
        "view": {"stroke": None, "continuousWidth": 520, "continuousHeight": 320, "step": 36},
        "title": {
            "fontSize": 18,
            "color": colours.ink,
            "anchor": "start",
            "offset": 14,
            "subtitleFontSize": 13,
            "subtitleColor": colours.faint,
            "subtitlePadding": 6,
        },
        "axis": {
            **labels,
            **titles,
            "titlePadding": 10,
            "domainColor": colours.line,
            "tickColor": colours.line,
            "gridColor": colours.line,
        },
        "legend": {**labels, **titles, "symbolSize": 120},
        "header": {**labels, **titles, "titleFontSize": 14},
        "mark": {"color": colours.mark},
        "text": {**line, "fontSize": 13},
        "rule": line,
        "boxplot": {"median": line, "rule": line},
        "errorbar": {"rule": line},
    }
