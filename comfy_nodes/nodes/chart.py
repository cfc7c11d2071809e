"""Chart: a Vega-Lite specification, or a chart that is ready, as a picture."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from comfy_nodes.charts import drawn
from comfy_nodes.charts.reading import spec_of
from comfy_nodes.charts.rows import READY, ready, rows_of
from comfy_nodes.charts.specification import Spec, filled
from comfy_nodes.charts.themes import THEMES
from comfy_nodes.host import Running
from comfy_nodes.nodes import widgets
from comfy_nodes.pictures import batch_of
from comfy_nodes.thread import on_bridge
from comfy_nodes.values import Compared
from llm_bridge.compare.reports.readable import whole

__all__ = ["Chart"]

_OWN = "specification"
_SIDE = (
    "INT",
    {
        "default": 0,
        "min": 0,
        "max": 4096,
        "tooltip": "Of the whole picture, before it is scaled. 0 is as the specification says.",
    },
)


class Chart:
    """Draws what a person or a model wrote, or one of the charts that are ready for the results of a comparison."""

    DISPLAY_NAME = "Chart"
    CATEGORY = "Workbench/Compare"
    DESCRIPTION = (
        "Draws a chart: one that is ready for the results of LLM Compare, or a Vega-Lite specification, written by "
        "hand or by a model, with words or fences around it. A specification without data gets the results: rows with "
        "model, prompt, variant, repeat, failed, ttft, tokens_per_second, tokens, characters, load, seconds, "
        "checks_passed, checks_made, rating, rating_low and rating_high. It loads no files and no addresses."
    )
    RETURN_TYPES = ("IMAGE", "STRING")
    RETURN_NAMES = ("image", "specification")
    OUTPUT_TOOLTIPS = ("The chart.", "The specification that was drawn, with its data, as JSON.")
    FUNCTION = "draw"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "chart": ([_OWN, *READY], {"tooltip": "Those that are ready need results."}),
                "specification": widgets.text("Vega-Lite as JSON. Only for the chart “specification”."),
                "width": _SIDE,
                "height": _SIDE,
                "scale": (
                    "FLOAT",
                    {"default": 2.0, "min": 0.25, "max": 8.0, "step": 0.25,
                     "tooltip": "Pixels for each of width and height: 2 is the same chart, twice as large."},
                ),
                "theme": (list(THEMES), {"tooltip": "What the specification says itself comes before it."}),
            },
            "optional": {"results": ("LLM_RESULTS", {"tooltip": "The data of a specification that has none."})},
            "hidden": {"unique_id": "UNIQUE_ID"},
        }  # fmt: skip

    async def draw(
        self,
        *,
        chart: str,
        specification: str,
        width: int,
        height: int,
        scale: float,
        theme: str,
        results: Compared | None = None,
        unique_id: str | None = None,
    ) -> tuple[Any, str]:
        async def work() -> tuple[Any, str]:
            written = await spec_of(specification) if chart == _OWN else None
            spec = await asyncio.to_thread(_spec, chart, written, results)
            png = await drawn(spec, width=width, height=height, scale=scale, theme=theme)
            return await asyncio.to_thread(_outputs, png, spec)

        return await on_bridge(Running(unique_id), work)


def _spec(chart: str, written: Spec | None, compared: Compared | None) -> Spec:
    """What a person wrote, or the chart of this name, with the rows of the results."""
    rows = None if compared is None else rows_of(compared.results)
    spec = ready(chart, rows or ()) if written is None else written
    return spec if rows is None else filled(spec, rows)


def _outputs(png: bytes, spec: Spec) -> tuple[Any, str]:
    return batch_of([png]), whole(json.dumps(spec, ensure_ascii=False, indent=1))
