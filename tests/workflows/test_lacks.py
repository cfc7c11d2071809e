"""What a ComfyUI lacks for a template is told before anybody asks for a job, all of it, with where to put it."""

from __future__ import annotations

from comfy_mcp.workflows import Lack, ObjectInfo, asks_for, lacks
from tests.data.record_object_info import recorded
from tests.workflows.samples import SHIPPED, offering

FLUX = SHIPPED.templates["txt2img_dit"]
ALL = offering()


def test_nothing_is_lacking_where_everything_is() -> None:
    for name in ("txt2img", "img2img", "inpaint", "txt2img_lora", "upscale"):
        template = SHIPPED.templates[name]
        assert lacks(template.graph, template.parameters, ALL) == [], name


def test_every_missing_node_is_named_once() -> None:
    template = SHIPPED.templates["txt2img"]
    raw = {name: told for name, told in recorded().items() if name not in ("CLIPTextEncode", "KSampler")}
    found = lacks(template.graph, template.parameters, ObjectInfo(raw))
    assert sorted((each.kind, each.name) for each in found if each.kind == "node") == [
        ("node", "CLIPTextEncode"),
        ("node", "KSampler"),
    ]


def test_our_own_nodes_are_told_from_others() -> None:
    template = SHIPPED.templates["compare_models"]
    assert all(each.is_ours for each in lacks(template.graph, template.parameters, ALL) if each.kind == "node")


def test_a_missing_file_is_told_with_its_folder_and_parameter() -> None:
    found = lacks(FLUX.graph, FLUX.parameters, offering(unet_name=[], vae_name=["other.safetensors", "x.pt"]))
    told = {each.parameter: (each.kind, each.folder) for each in found}
    assert told["diffusion_model"] == ("file", "diffusion_models")
    assert told["vae"] == ("file", "vae")


def test_a_file_that_nobody_can_set_is_looked_for_as_well() -> None:
    graph = SHIPPED.templates["upscale"].graph
    loader = next(node for node, content in graph.items() if content["class_type"] == "UpscaleModelLoader")
    changed = {**graph, loader: {**graph[loader], "inputs": {"model_name": "gone.pth"}}}
    assert lacks(changed, {}, ALL) == [Lack("file", "gone.pth", loader, "model_name", "", "upscale_models")]
    assert asks_for(changed, {}).files == ("gone.pth",)


def test_a_choice_that_is_not_offered_is_no_file() -> None:
    graph = SHIPPED.templates["txt2img"].graph
    changed = {**graph, "3": {**graph["3"], "inputs": {**graph["3"]["inputs"], "sampler_name": "gone"}}}
    (found,) = [each for each in lacks(changed, {}, ALL) if each.input == "sampler_name"]
    assert (found.kind, found.name, found.folder) == ("choice", "gone", "")


def test_what_it_asks_for_is_told_wherever_it_runs() -> None:
    asked = asks_for(FLUX.graph, FLUX.parameters)
    assert "KSampler" in asked.nodes and asked.files == ()
    assert asked.models == ("diffusion_model", "text_encoder", "text_encoder_2", "vae")
