"""The templates that ship: complete, named as promised, and fit for a real ComfyUI and for the embedded engine."""

from __future__ import annotations

import json

import httpx
import pytest

from comfy_mcp.errors import MissingModel
from comfy_mcp.workflows import ObjectInfo, bind, check, shipped_folder
from comfy_mcp.workflows.graph import links_in
from tests.data.record_object_info import recorded
from tests.workflows.samples import NAMES, SHIPPED, offering

CORE = recorded()
PROMISED = {
    "txt2img": "prompt negative seed steps cfg sampler scheduler denoise width height batch checkpoint",
    "txt2img_lora": (
        "prompt negative seed steps cfg sampler scheduler denoise width height batch checkpoint lora lora_strength"
    ),
    "txt2img_dit": "prompt seed steps sampler scheduler denoise width height batch diffusion_model text_encoder vae",
    "img2img": "prompt negative seed steps cfg sampler scheduler denoise checkpoint image",
    "inpaint": "prompt negative seed steps cfg sampler scheduler denoise checkpoint image mask",
    "upscale": "image upscale_model scale",
}


@pytest.mark.parametrize("name", NAMES)
def test_parameters_have_the_promised_names(name: str) -> None:
    assert set(PROMISED[name].split()) <= set(SHIPPED.get(name).parameters)


@pytest.mark.parametrize("name", NAMES)
def test_defaults_bind_and_pass_the_checks_of_a_real_comfyui(name: str) -> None:
    template, info = SHIPPED.get(name), offering()
    bound = bind(template, dict.fromkeys(template.required, "x"), object_info=info)
    check(bound, info)
    assert bound.warnings == ()
    assert set(bound.values) == set(template.parameters)


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_is_as_exported_and_of_core_nodes(name: str) -> None:
    graph = SHIPPED.get(name).graph
    text = (shipped_folder() / name / "workflow.json").read_text("utf-8")
    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"
    used = {source for _, _, (source, _) in links_in(graph)}
    for node, content in graph.items():
        assert content["class_type"] in CORE
        assert content["_meta"]["title"]
        assert node in used or content["class_type"] == "SaveImage"


@pytest.mark.parametrize("name", NAMES)
def test_everything_has_a_label_and_a_word_of_help(name: str) -> None:
    template = SHIPPED.get(name)
    assert 40 <= len(template.description) <= 200
    for parameter, told in template.parameters.items():
        assert told.label and told.help.endswith("."), parameter
        assert len(told.help) <= 80, parameter


@pytest.mark.parametrize("name", NAMES)
def test_an_engine_can_run_what_it_has_the_files_for(name: str, comfyui_url: str, embedded_url: str) -> None:
    raw = httpx.get(f"{comfyui_url}/object_info", timeout=30, trust_env=False).raise_for_status().json()
    template, info = SHIPPED.get(name), ObjectInfo(raw)
    try:
        check(bind(template, dict.fromkeys(template.required, "x"), object_info=info), info)
    except MissingModel as failure:
        assert comfyui_url != embedded_url, "the embedded engine has a file for everything"
        assert template.parameters[failure.details["parameter"]].type == "model"
