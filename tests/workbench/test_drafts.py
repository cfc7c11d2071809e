"""What is typed into a draft becomes the same template again, or a problem right where it was typed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from comfy_mcp.errors import NotFound
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.drafts import Draft
from comfy_mcp.workflows import Catalogue, shipped_folder
from tests.workbenches import settings_for

SHIPPED = Catalogue.load([shipped_folder()]).templates


def draft_of(name: str) -> Draft:
    return Draft.begun("1", name, SHIPPED[name].manifest, SHIPPED[name].graph)


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_what_is_not_touched_stays_as_it_was(name: str) -> None:
    kept: Any = json.loads(json.dumps(draft_of(name).record()))
    template, problems = Draft.read(kept).looked_over()
    assert problems == []
    assert template is not None and template.manifest == SHIPPED[name].manifest


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"min": "oops"}, "min: 'oops' is not a whole number."),
        ({"min": "90", "max": "10"}, "min is larger than max"),
        ({"name": "Not A Name"}, "Not A Name"),
        ({"name": "prompt"}, "two parameters of the name prompt"),
        ({"default": "9000"}, "The default does not fit: steps 9000 is out of range."),
        ({"label": "x\x07"}, "label"),
        ({"default": "9" * 5_000}, "default"),
        ({"max": "-1", "min": ""}, "does not fit"),
    ],
)
def test_a_problem_is_told_at_its_row(fields: dict[str, str], told: str) -> None:
    draft = draft_of("txt2img")
    place = next(place for place, row in enumerate(draft.rows) if row.name == "steps")
    typed = {"keep": "on", "name": "steps", **fields}
    template, problems = draft.changed({f"{key}_{place}": text for key, text in typed.items()}).looked_over()
    assert template is None
    assert [problem.row for problem in problems] == [place]
    assert told in problems[0].told


@pytest.mark.parametrize("fields", [{"name": "UP"}, {"title": ""}, {"title": "x" * 81}, {"description": "\x00"}])
def test_a_problem_of_the_whole_has_no_row(fields: dict[str, str]) -> None:
    _, problems = draft_of("txt2img").changed(fields).looked_over()
    assert [problem.row for problem in problems] == [None]
    assert "manifest.toml" not in problems[0].told


def test_what_is_left_out_can_be_set_by_nobody_and_is_still_there_to_keep() -> None:
    draft = draft_of("txt2img")
    left = draft.changed({f"name_{place}": row.name for place, row in enumerate(draft.rows)})
    template, problems = left.looked_over()
    assert problems == [] and template is not None and template.parameters == {}
    assert len(left.rows) == len(draft.rows) and left.free_places() == draft.free_places()


def test_rows_change_places() -> None:
    draft = draft_of("txt2img")
    first, second, *_ = draft.rows
    assert draft.moved_up(1).rows[:2] == (second, first)
    assert draft.moved_up(0) == draft.moved_up(500) == draft


def test_what_can_be_added_is_what_no_row_sets() -> None:
    draft = draft_of("txt2img")
    assert "SaveImage#9.filename_prefix" in map(str, draft.free_places())
    assert not {text for row in draft.rows for text in row.bind} & set(map(str, draft.free_places()))


def test_of_more_values_than_a_list_can_show_the_first_are_offered() -> None:
    graph = {"1": {"class_type": "KSampler", "inputs": {f"x{number}": 7 for number in range(50_000)}}}
    assert 100 < len(replace(draft_of("txt2img"), graph=graph).free_places()) <= 2_000


async def test_what_is_kept_too_late_brings_no_draft_back(tmp_path: Path) -> None:
    async with Workbench.open(settings_for(tmp_path, "http://127.0.0.1:9"), dispatch=False) as workbench:
        authoring = workbench.authoring
        draft = await authoring.begin("txt2img", "ann")
        await authoring.keep(replace(draft, title="Mine"), "ann")
        assert (await authoring.draft(draft.id, "ann")).title == "Mine"
        await authoring.discard(draft, "ann")
        await authoring.keep(draft, "ann")
        with pytest.raises(NotFound):
            await authoring.draft(draft.id, "ann")
