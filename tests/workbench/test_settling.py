"""Whose word counts: locks, what a person has set, the call, and the defaults, in that order."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any

import pytest

from comfy_mcp.errors import Conflict, InvalidParameter, NotFound
from comfy_mcp.jobs import Job, JobRequest, Preset
from comfy_mcp.workbench import Workbench
from tests.workbenches import settings_for

ASKED = {"prompt": "a house", "width": 64, "height": 64, "steps": 3, "seed": 7}
LOCKED: Mapping[str, Any] = {
    "*": {"steps": 5, "prefix": "all:", "no_such": 1},
    "txt2img": {"cfg": 3.0, "steps": 6, "suffix": ", locked", "negative": "gore"},
}


@pytest.fixture
async def workbench(tmp_path: Path, embedded_url: str) -> AsyncGenerator[Workbench]:
    async with Workbench.open(settings_for(tmp_path, embedded_url), dispatch=False) as opened:
        yield opened


async def made(workbench: Workbench, **more: Any) -> Job:
    values = {**ASKED, **more.pop("values", {})}
    return await workbench.submit(JobRequest("txt2img", values, **more))


@pytest.mark.requirement("R19")
async def test_what_is_sent_with_every_call_wins_over_the_call(workbench: Workbench) -> None:
    job = await made(workbench, standing={"steps": "4", "sampler": "euler", "style": "cinematic", "nothing_here": "x"})
    assert (job.values["steps"], job.values["sampler"], job.style) == (4, "euler", "cinematic")
    assert job.warnings == ("steps is 4 by your settings, not 3.",)


@pytest.mark.requirement("R19")
@pytest.mark.parametrize("bad", [{"steps": "many"}, {"steps": "0"}, {"style": "nowhere"}, {"sampler": "no such"}])
async def test_what_does_not_fit_is_left_out_and_told_of(workbench: Workbench, bad: dict[str, str]) -> None:
    job = await made(workbench, standing={**bad, "cfg": "2"}, style="anime", values={"sampler": "dpmpp_2m"})
    assert (job.values["steps"], job.style, job.values["sampler"]) == (3, "anime", "dpmpp_2m")
    assert job.values["cfg"] == 2.0
    (name,) = bad
    assert any(f"{name} by your settings was left out" in warning for warning in job.warnings)


async def test_what_the_call_itself_gets_wrong_is_refused_whatever_else_is_set(workbench: Workbench) -> None:
    with pytest.raises(InvalidParameter, match="cfg"):
        await made(workbench, values={"cfg": "warm"}, standing={"steps": "4"})
    with pytest.raises(NotFound):
        await made(workbench, style="nowhere")


async def test_nobody_sets_for_good_what_a_call_is_about(workbench: Workbench) -> None:
    job = await made(workbench, standing={"prompt": "a boat"})
    assert job.values["prompt"] == "a house"


async def test_a_preset_wins_over_the_call_and_is_won_over_by_what_is_sent(workbench: Workbench) -> None:
    night = Preset("txt2img", "night", {"steps": 9, "cfg": 2.0}, "anime", "night,", ", stars", "sun")
    await workbench.presets.save(night)
    job = await made(workbench, preset="night", standing={"steps": "8"}, values={"negative": "fog"})
    assert (job.values["steps"], job.values["cfg"], job.style) == (8, 2.0, "anime")
    assert (job.values["prompt"], job.values["negative"]) == ("a house", "fog")
    painted = {node["inputs"]["text"] for node in job.bound.graph.values() if node["class_type"] == "CLIPTextEncode"}
    assert any("night, a house , stars" in text for text in painted)
    assert any(text.startswith("fog, sun") for text in painted)


async def test_the_default_preset_is_for_who_wants_it(workbench: Workbench) -> None:
    await workbench.presets.save(Preset("txt2img", "first", {"steps": 9}, default=True))
    await workbench.presets.save(Preset("txt2img", "second", {"steps": 8}, default=True))
    assert [(p.name, p.default) for p in (await workbench.presets.of("txt2img")).values()] == [
        ("first", False), ("second", True),
    ]  # fmt: skip
    assert (await made(workbench)).values["steps"] == 3
    assert (await made(workbench, default_preset=True)).values["steps"] == 8
    assert (await made(workbench, default_preset=True, preset="first")).values["steps"] == 9
    assert (await made(workbench, default_preset=True, standing={"preset": "first"})).values["steps"] == 9
    assert (await made(workbench, default_preset=True, standing={"preset": "of img2img"})).values["steps"] == 8
    assert (await made(workbench, standing={"preset": "of img2img"})).values["steps"] == 3
    assert (await made(workbench, default_preset=True, owner="bob")).values["steps"] == 3
    with pytest.raises(NotFound, match="secon"):
        await made(workbench, preset="secon")
    assert await workbench.presets.drop("txt2img", "second")
    assert not await workbench.presets.drop("txt2img", "second")
    assert (await made(workbench, default_preset=True)).values["steps"] == 3


@pytest.mark.parametrize(
    ("preset", "parameter"),
    [
        (Preset("txt2img", "a", {"prompt": "x"}), "prompt"),
        (Preset("txt2img", "a", {"stepz": 3}), "stepz"),
        (Preset("txt2img", "a", {"steps": 0}), "steps"),
        (Preset("txt2img", "", {"steps": 3}), "name"),
        (Preset("txt2img", "a/b", {"steps": 3}), "name"),
        (Preset("txt2img", "a", prefix="x" * 3_000), "prefix"),
        (Preset("txt2img", "a", suffix="a\x00\x1b[2Jb"), "suffix"),
        (Preset("txt2img", "a", {"negative": "x" * 20_000}), "values"),
    ],
)
async def test_a_preset_that_fits_nobody_is_refused(workbench: Workbench, preset: Preset, parameter: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        await workbench.presets.save(preset)
    assert caught.value.parameter == parameter
    assert caught.value.hint
    assert await workbench.presets.of("txt2img") == {}


async def test_a_preset_of_nothing_is_refused(workbench: Workbench) -> None:
    with pytest.raises(NotFound):
        await workbench.presets.save(Preset("txt2image", "a"))
    with pytest.raises(NotFound):
        await workbench.presets.save(Preset("txt2img", "a", style="nowhere"))


@pytest.mark.requirement("R19")
async def test_nobody_wins_over_a_lock(tmp_path: Path, embedded_url: str) -> None:
    settings = settings_for(tmp_path, embedded_url, locked=LOCKED)
    async with Workbench.open(settings, dispatch=False) as workbench:
        await workbench.presets.save(Preset("txt2img", "own", {"steps": 9, "cfg": 9.0}, prefix="own:"))
        job = await made(workbench, preset="own", standing={"steps": "4"})
        assert (job.values["steps"], job.values["cfg"]) == (6, 3.0)
        assert any("steps is 6 by the administrator, not 5" in warning for warning in job.warnings)
        texts = [node["inputs"]["text"] for node in job.bound.graph.values() if "text" in node["inputs"]]
        assert "all: own: a house , locked" in texts
        assert "gore" in texts


async def test_a_lock_that_fits_nobody_is_not_quietly_dropped(tmp_path: Path, embedded_url: str) -> None:
    settings = settings_for(tmp_path, embedded_url, locked={"txt2img": {"steps": 9_999}})
    async with Workbench.open(settings, dispatch=False) as workbench:
        with pytest.raises(InvalidParameter, match="steps"):
            await made(workbench)


async def test_presets_are_not_without_end(workbench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("comfy_mcp.workbench.presets._MOST", 2)
    for name in ("a", "b", "a"):
        await workbench.presets.save(Preset("txt2img", name, {"steps": 9}))
    with pytest.raises(InvalidParameter, match="2 presets"):
        await workbench.presets.save(Preset("txt2img", "c", {"steps": 9}))


@pytest.mark.requirement("R19")
async def test_what_does_not_fit_leaves_the_preset_below_it(workbench: Workbench) -> None:
    await workbench.presets.save(Preset("txt2img", "mine", {"sampler": "ddim"}, style="anime"))
    standing = {"sampler": "bogus", "style": "nowhere"}
    job = await made(workbench, standing=standing, preset="mine", values={"sampler": "euler"})
    assert (job.values["sampler"], job.style) == ("ddim", "anime")


@pytest.mark.requirement("R19")
async def test_the_preset_of_a_header_beats_the_one_of_the_call(workbench: Workbench) -> None:
    for name, steps in (("mine", 2), ("other", 4)):
        await workbench.presets.save(Preset("txt2img", name, {"steps": steps}))
    job = await made(workbench, standing={"preset": "mine"}, preset="other")
    assert job.values["steps"] == 2


@pytest.mark.parametrize("empty", [None, ""])
async def test_what_is_empty_was_not_asked_for(workbench: Workbench, empty: Any) -> None:
    job = await made(workbench, standing={"steps": "2"}, values={"steps": empty})
    assert (job.values["steps"], job.warnings) == (2, ())


async def test_one_key_with_another_preset_is_another_request(workbench: Workbench) -> None:
    for name in ("a", "b"):
        await workbench.presets.save(Preset("txt2img", name, {"cfg": 2.0}))
    first = await workbench.submit(JobRequest("txt2img", ASKED, preset="a"), "key")
    assert (await workbench.submit(JobRequest("txt2img", ASKED, preset="a"), "key")).id == first.id
    with pytest.raises(Conflict):
        await workbench.submit(JobRequest("txt2img", ASKED, preset="b"), "key")
