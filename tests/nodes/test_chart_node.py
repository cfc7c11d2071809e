"""The node Chart: specifications out of texts, the rows of a comparison, and the charts that are ready for them."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from comfy_nodes.charts.rows import READY, rows_of
from comfy_nodes.charts.specification import filled
from comfy_nodes.nodes.chart import Chart
from comfy_nodes.values import Compared
from llm_bridge.chat import Metrics, Reply, Timings, Usage
from llm_bridge.compare import CellResult, Checked, Comparison, Failure, Preference, Prompt, Results, with_preferences
from llm_bridge.errors import BadInput
from tests.nodes.calling import Page, Stopped
from tests.nodes.test_charts import BARS, ENDLESS, programs, started

SPEC = {"mark": "bar", "encoding": {"x": {"field": "model"}, "y": {"field": "ttft", "type": "quantitative"}}}
TEXT = json.dumps(SPEC, indent=2)


def results() -> Results:
    """Two models, one prompt, two repeats; the last answer failed."""
    comparison = Comparison(("fast", "深度/slow"), (Prompt("海", "Write about the sea."),), repeats=2)
    speeds = {"fast": 90.0, "深度/slow": 9.0}
    cells = [
        CellResult(
            cell,
            Reply(
                "The sea.",
                usage=Usage(completion=4),
                metrics=Metrics(ttft=9 / speeds[cell.model], seconds=2.0),
                timings=Timings(tokens_per_second=speeds[cell.model]),
            ),
            checks=(Checked("max-words:5", True), Checked("json", False, "Nothing.")),
        )
        for cell in comparison.cells
    ]
    cells[-1] = CellResult(cells[-1].cell, failure=Failure("x", "It failed."))
    return Results(comparison, cells)


def judged() -> Results:
    preferences = [Preference("海", "", repeat, "fast", "深度/slow", "first", "judge:j") for repeat in (0, 1)]
    return with_preferences(results(), preferences)


async def draw(chart: str = "specification", compared: Results | None = None, **changes: Any) -> tuple[Any, str]:
    linked = None if compared is None else Compared(compared, "0" * 32)
    inputs: dict[str, Any] = {"specification": "", "width": 0, "height": 0, "scale": 1.0, "theme": "light"}
    return await Chart().draw(chart=chart, results=linked, **(inputs | changes))


def test_the_rows_of_a_comparison_are_flat() -> None:
    rows = rows_of(judged())
    first, last = rows[0], rows[-1]
    assert [(row["model"], row["repeat"], row["failed"]) for row in rows] == [
        *(("fast", 0, False), ("深度/slow", 0, False), ("fast", 1, False), ("深度/slow", 1, True)),
    ]
    assert (first["prompt"], first["variant"], first["cached"]) == ("海", "", False)
    assert (first["ttft"], first["tokens_per_second"], first["tokens"], first["seconds"]) == (0.1, 90.0, 4, 2.0)
    assert (first["characters"], first["checks_passed"], first["checks_made"]) == (8, 1, 2)
    assert first["rating_low"] < first["rating"] < first["rating_high"]
    assert (first["games"], first["wins"], last["wins"]) == (2, 2.0, 0.0)
    assert last["ttft"] is last["tokens"] is None
    assert rows_of(results())[0]["rating"] is None


def test_a_specification_without_data_gets_the_rows_and_one_with_data_keeps_its_own() -> None:
    rows = rows_of(results())
    for without in (SPEC, {**SPEC, "data": None}, {**SPEC, "data": {"name": "results"}}):
        told = filled(without, rows)
        assert (told["data"], told["datasets"]) == ({"name": "results"}, {"results": rows})
    own = filled({**BARS, "datasets": {"more": []}}, rows)
    assert own["data"] == BARS["data"]
    assert set(own["datasets"]) == {"more", "results"}


@pytest.mark.parametrize("name", READY)
@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_every_ready_chart_shows_a_comparison(name: str, theme: str) -> None:
    image, told = await draw(name, judged(), theme=theme, width=640)
    assert image.shape[0] == 1
    assert image.shape[2:] == (640, 3)
    assert (float(image[0, 2, 2].mean()) > 0.5) == (theme == "light")
    assert abs(image - image[0, 2, 2]).max() > 0.3, "there is something on it"
    if theme == "light":
        again, _ = await draw(specification=told, width=640)
        assert (again == image).all(), "what was drawn can be kept, and drawn without the results"


async def test_a_ready_chart_says_what_it_lacks() -> None:
    unjudged, told = await draw("rating", results())
    assert "Nobody has judged" in told and unjudged.std() > 0, "the sentence is drawn"
    with pytest.raises(BadInput, match="Link results"):
        await draw("speed")
    nothing = replace(results(), cells=results().cells[-1:])
    assert "a model has answered" in (await draw("time to the first token", nothing))[1]
    with pytest.raises(BadInput, match="no chart “pie”"):
        await draw("pie", results())


async def test_a_model_s_own_specification_draws_the_results() -> None:
    image, told = await draw("specification", results(), specification=f"Here:\n```json\n{TEXT}\n```", scale=2.0)
    assert image.ndim == 4
    assert str(image.dtype) == "float32"
    assert "深度/slow" in told
    with pytest.raises(BadInput, match="has no data"):
        await draw("specification", specification=TEXT)


async def test_stopping_the_graph_kills_the_chart(page: Page) -> None:
    before = programs()
    task = asyncio.create_task(draw(specification=json.dumps(ENDLESS)))
    new = await started(before)
    page.interrupt()
    with pytest.raises(Stopped):
        await task
    assert not new & programs()


def test_the_node_has_the_form_that_comfyui_reads() -> None:
    inputs = Chart.INPUT_TYPES()
    assert inputs["required"]["chart"][0][0] == "specification"
    assert inputs["required"]["theme"][0] == ["light", "dark"]
    assert inputs["optional"]["results"][0] == "LLM_RESULTS"
    assert Chart.RETURN_TYPES == ("IMAGE", "STRING")
    assert not getattr(Chart, "OUTPUT_NODE", False)
