"""A request read without a server: what its keys come to before anything is checked."""

from __future__ import annotations

from typing import Any

import pytest

from comfy_mcp.errors import InvalidParameter
from comfy_mcp.proxy.a1111.offers import Offers
from comfy_mcp.proxy.a1111.reading import Wanted, read
from comfy_mcp.workflows import Catalogue, shipped_folder

CATALOGUE = Catalogue.load([shipped_folder()])


def wanted(template: str, remembered: str | None = None, **body: Any) -> Wanted:
    return read(body, Offers(CATALOGUE.get(template), None), CATALOGUE.styles, remembered)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("enable_hr", True),
        ("restore_faces", True),
        ("tiling", True),
        ("script_name", "x/y/z plot"),
        ("alwayson_scripts", {"ADetailer": {"args": [{"ad_model": "face_yolov8n.pt"}]}}),
    ],
)
def test_what_cannot_be_had_is_noted_when_it_is_asked_for(key: str, value: Any) -> None:
    assert len(wanted("txt2img", **{key: value}).notes) == 1
    assert wanted("txt2img", **{key: type(value)()}).notes == []


@pytest.mark.parametrize(
    ("width", "height", "megapixels"),
    [(1024, 1024, 1.0), ("512", 512.0, 0.25), (9000, 9000, 4.0), (8, 8, 0.01), (512, None, None), (10**400, 5, None)],
)
def test_the_size_of_a_picture_that_is_made_of_another(width: Any, height: Any, megapixels: float | None) -> None:
    assert wanted("img2img", width=width, height=height).values.get("megapixels") == megapixels


def test_strength_counts_only_where_a_picture_is_changed() -> None:
    assert "denoise" not in wanted("txt2img", denoising_strength=0.7).values
    assert wanted("img2img", denoising_strength=0.7).values["denoise"] == 0.7


def test_pictures_at_once_and_one_after_another() -> None:
    both = wanted("txt2img", batch_size=4, n_iter=4)
    assert (both.values["batch"], both.runs) == (4, 4)
    assert wanted("img2img", batch_size=4, n_iter=4).runs == 16
    with pytest.raises(InvalidParameter):
        wanted("txt2img", batch_size=4, n_iter=5)


def test_nothing_comes_through_by_the_name_of_a_parameter_that_has_a_rule() -> None:
    values = wanted("inpaint", image="an id", mask="an id", batch=16, sampler="x", scheduler="../x").values
    assert values.keys() == {"prompt"}


def test_a_workflow_without_styles_loras_and_checkpoints_takes_none() -> None:
    told = wanted(
        "upscale", styles=["anime"], prompt="<lora:x:1>", override_settings={"sd_model_checkpoint": "x", "sd_vae": "y"}
    )
    assert (told.values, told.style) == ({}, None)
    assert len(told.notes) == 4
