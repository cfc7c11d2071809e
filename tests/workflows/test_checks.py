"""What a ComfyUI would refuse is refused here, before anything is sent, by node and by parameter."""

from __future__ import annotations

from typing import Any

import pytest

from comfy_mcp.errors import BackendError, InvalidParameter, MissingModel, MissingNode, WorkbenchError, WorkflowRejected
from comfy_mcp.jobs import BoundWorkflow, Graph, Upload
from comfy_mcp.workflows import ObjectInfo, bind, check
from tests.data.record_object_info import recorded
from tests.workflows.samples import SHIPPED, offering

FULL = offering()
TXT2IMG = SHIPPED.get("txt2img")


def refused(change: dict[str, Any], *, node: str = "3", bound_there: bool = True) -> WorkbenchError:
    """How txt2img is refused with other inputs in one of its nodes."""
    bound = bind(TXT2IMG, {"prompt": "x"}, object_info=FULL)
    bound.graph[node]["inputs"] |= change
    if not bound_there:
        bound = BoundWorkflow(bound.graph, bound.values)
    with pytest.raises(WorkbenchError) as caught:
        check(bound, FULL)
    failure = caught.value
    assert failure.hint
    assert failure.details["node"] == node
    assert failure.details["node_class"] == TXT2IMG.graph[node]["class_type"]
    assert failure.details["input"] in change
    return failure


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model": ["4", 3]}, r"comes from output 3 of node 4, which has 3"),
        ({"model": ["4", 1]}, "takes MODEL, not CLIP"),
        ({"model": "x"}, "must come from another node, as MODEL"),
        ({"positive": None}, "must come from another node"),
    ],
)
def test_a_wrong_link_is_named_by_node_and_input(change: dict[str, Any], told: str) -> None:
    failure = refused(change)
    assert isinstance(failure, WorkflowRejected)
    assert "KSampler (node 3): " in failure.message
    assert told in failure.message


def test_a_link_to_nowhere_is_named() -> None:
    assert "node '99', which does not exist" in refused({"model": ["99", 0]}).message


@pytest.mark.parametrize(
    ("change", "parameter", "told"),
    [
        ({"steps": 20_000}, "steps", "steps 20000 is out of range. Give 1 to 10000."),
        ({"steps": "many"}, "steps", "steps is 'many', not a number."),
        ({"cfg": None}, "cfg", "cfg is 'None', not a number."),
        ({"seed": 2**64}, "seed", "out of range. Give 0 to 18446744073709551615."),
        ({"sampler_name": "eulr"}, "sampler", "sampler does not know 'eulr'. Nearest: euler"),
    ],
)
def test_a_value_is_refused_by_the_name_of_its_parameter(change: dict[str, Any], parameter: str, told: str) -> None:
    failure = refused(change)
    assert isinstance(failure, InvalidParameter)
    assert failure.parameter == parameter
    assert told in str(failure)


def test_without_a_parameter_there_the_node_is_named() -> None:
    failure = refused({"sampler_name": "eulr"}, bound_there=False)
    assert isinstance(failure, WorkflowRejected)
    assert "KSampler (node 3): sampler_name does not know 'eulr'" in failure.message
    assert failure.details["nearest"][0] == "euler"


def test_a_file_that_is_not_there_is_a_missing_model() -> None:
    failure = refused({"ckpt_name": "dreamshaper_7.safetensors"}, node="4")
    assert isinstance(failure, MissingModel)
    assert "for checkpoint" in failure.message and "dreamshaper_8" in failure.hint
    assert failure.details["parameter"] == "checkpoint"
    failure = refused({"ckpt_name": "x"}, node="4", bound_there=False)
    assert isinstance(failure, MissingModel)
    assert "CheckpointLoaderSimple (node 4): ckpt_name" in failure.message


def test_a_file_of_the_newer_spelling_of_choices_is_looked_at_too() -> None:
    """ComfyUI itself checks only the older spelling."""
    info = offering()
    bound = bind(SHIPPED.get("upscale"), {"image": "x"}, object_info=info)
    bound.graph["2"]["inputs"]["model_name"] = "gone.pth"
    with pytest.raises(MissingModel, match=r"gone\.pth"):
        check(bound, info)
    bound.graph["2"]["inputs"]["model_name"] = "anything.pth"
    with pytest.raises(MissingModel, match="put a file into its models folder"):
        check(bound, offering(model_name=[]))


@pytest.mark.parametrize("value", [20, 20.0, "20"])
def test_what_comfyui_turns_into_a_number_passes(value: Any) -> None:
    bound = bind(TXT2IMG, {"prompt": "x"}, object_info=FULL)
    bound.graph["3"]["inputs"]["steps"] = value
    check(bound, FULL)


def test_the_largest_seed_is_compared_exactly() -> None:
    check(bind(TXT2IMG, {"prompt": "x", "seed": 2**64 - 1}, object_info=FULL), FULL)


def test_a_node_that_is_not_there_is_named_with_the_nearest() -> None:
    raw = {name: node for name, node in recorded().items() if name != "KSampler"}
    with pytest.raises(MissingNode, match="'KSampler'") as caught:
        check(bind(TXT2IMG, {"prompt": "x"}), ObjectInfo(raw))
    assert "KSamplerAdvanced" in caught.value.hint and "Install the node pack" in caught.value.hint


def test_all_nodes_that_are_not_there_are_named_and_how_to_get_ours() -> None:
    bound = bind(TXT2IMG, {"prompt": "x"}, object_info=FULL)
    bound.graph["6"]["class_type"] = "WorkbenchPickBest"
    with pytest.raises(MissingNode, match=r"has no node 'WorkbenchPickBest'") as caught:
        check(bound, FULL)
    assert "comfy-workbench install-nodes" in caught.value.hint and "node pack" not in caught.value.hint
    bound.graph["5"]["class_type"], bound.graph["8"]["class_type"] = "WorkbenchJudge", "Elsewhere"
    with pytest.raises(
        MissingNode, match=r"lacks the nodes 'Elsewhere', 'WorkbenchJudge', 'WorkbenchPickBest'"
    ) as all_:
        check(bound, FULL)
    assert "comfy-workbench install-nodes" in all_.value.hint and "brings the others" in all_.value.hint


def test_a_required_input_that_is_missing_is_named() -> None:
    bound = bind(TXT2IMG, {"prompt": "x"}, object_info=FULL)
    del bound.graph["8"]["inputs"]["vae"]
    with pytest.raises(WorkflowRejected, match=r"VAEDecode \(node 8\): vae is missing"):
        check(bound, FULL)


def loose(graph: Graph) -> BoundWorkflow:
    return BoundWorkflow(graph, {})


def test_only_what_an_output_needs_is_looked_at_and_one_output_there_must_be() -> None:
    bound = bind(TXT2IMG, {"prompt": "x"}, object_info=FULL)
    bound.graph["99"] = {"class_type": "KSampler", "inputs": {}}
    check(bound, FULL)
    with pytest.raises(WorkflowRejected, match="no output node"):
        check(loose({"99": bound.graph["99"]}), FULL)


def test_a_circle_is_refused() -> None:
    bound = bind(TXT2IMG, {"prompt": "x"}, object_info=FULL)
    bound.graph["3"]["inputs"]["latent_image"] = ["3", 0]
    with pytest.raises(WorkflowRejected, match="feed each other"):
        check(bound, FULL)
    bound.graph["3"]["inputs"]["latent_image"] = ["3"]
    with pytest.raises(WorkflowRejected, match="broken link"):
        check(bound, FULL)


@pytest.mark.parametrize("value", ["../x.png", "/etc/passwd", "a\x00", "../x.png [output]", "..\\x", "C:\\x", 5, None])
def test_a_file_name_that_leaves_its_folder_is_refused(value: Any) -> None:
    bound = bind(SHIPPED.get("upscale"), {"image": "id"}, object_info=FULL)
    bound.graph["1"]["inputs"]["image"] = value
    check(bound, FULL)  # it is uploaded, and named by ComfyUI
    with pytest.raises(WorkflowRejected, match="not a plain file name"):
        check(loose(bound.graph), FULL)


def test_the_template_may_name_a_folder_of_comfyui_but_a_person_may_not() -> None:
    bound = bind(SHIPPED.get("upscale"), {"image": "id"}, object_info=FULL)
    bound.graph["1"]["inputs"]["image"] = "old.png [output]"
    check(loose(bound.graph), FULL)
    with pytest.raises(InvalidParameter, match="picture is not a plain file name"):
        check(BoundWorkflow(bound.graph, {}, parameters={"1.image": "picture"}), FULL)


def node(required: dict[str, Any] | None = None, *outputs: str, optional: Any = None, end: bool = False) -> Any:
    return {
        "input": {"required": required or {}, "optional": optional or {}},
        "output": list(outputs),
        "output_node": end,
    }


@pytest.mark.parametrize(
    ("gives", "takes", "fits"),
    [
        ("IMAGE", "IMAGE", True),
        ("IMAGE", "MASK", False),
        ("*", "MASK", True),
        ("IMAGE", "*", True),
        ("IMAGE", "MASK,IMAGE", True),
        ("IMAGE, MASK", "LATENT,MASK", True),
        ("IMAGE,MASK", "LATENT,AUDIO", False),
        ("INT", "FLOAT", False),
    ],
)
def test_links_join_types_that_have_one_in_common(gives: str, takes: str, fits: bool) -> None:
    info = ObjectInfo({"Gives": node({}, gives), "Takes": node({"x": [takes, {}]}, end=True)})
    bound = loose({"1": {"class_type": "Gives", "inputs": {}}, "2": {"class_type": "Takes", "inputs": {"x": ["1", 0]}}})
    if fits:
        check(bound, info)
    else:
        with pytest.raises(WorkflowRejected, match="takes"):
            check(bound, info)


VALUES: list[tuple[list[Any], Any, bool]] = [
    ([["a", "b"]], "a", True),
    ([["a", "b"]], "c", False),
    ([[1, 2]], 2, True),
    (["COMBO", {"options": ["a"]}], "c", False),
    (["COMBO", {"options": ["a", "b"], "multiselect": True}], {"__value__": ["a", "b"]}, True),
    (["COMBO", {"options": ["a", "b"], "multiselect": True}], {"__value__": ["a", "c"]}, False),
    (["COMBO", {"remote": {"route": "/x"}, "options": []}], "c", True),
    (["COMBO", {}], "c", True),
    (["CURVE", {}], "a field of a node pack", True),
    (["STRING", {}], None, False),
    (["STRING", {}], 5, True),
    (["BOOLEAN", {}], 1, True),
    (["FLOAT", {"min": 0, "max": 1}], 1.5, False),
    (["FLOAT", {"min": 0, "max": 1}], "nan", False),
    (["FLOAT", {}], {"x": 1}, False),
    (["COMFY_AUTOGROW_V3", {"template": {}}], None, True),
]


@pytest.mark.parametrize(("spec", "value", "fits"), VALUES)
def test_values_are_judged_as_comfyui_judges_them_and_choices_always(spec: Any, value: Any, fits: bool) -> None:
    info = ObjectInfo({"Node": node({"x": spec}, end=True)})
    inputs = {} if spec[0] == "COMFY_AUTOGROW_V3" else {"x": value}
    bound = loose({"1": {"class_type": "Node", "inputs": inputs}})
    if fits:
        check(bound, info)
    else:
        with pytest.raises(BackendError):
            check(bound, info)


def test_what_a_choice_brings_along_is_looked_at() -> None:
    branches: list[dict[str, Any]] = [
        {"key": "small", "inputs": {"required": {}}},
        {"key": "large", "inputs": {"required": {"size": ["INT", {"max": 8}]}}},
    ]
    info = ObjectInfo({"Node": node({"mode": ["COMFY_DYNAMICCOMBO_V3", {"options": branches}]}, end=True)})

    def checked(**inputs: Any) -> None:
        check(loose({"1": {"class_type": "Node", "inputs": inputs}}), info)

    checked(mode="small")
    checked(mode="large", **{"mode.size": 8})
    for wrong in ({"mode": "large"}, {"mode": "large", "mode.size": 9}, {"mode": "huge"}):
        with pytest.raises(WorkflowRejected, match="mode"):
            checked(**wrong)


def test_an_uploaded_picture_is_not_looked_for_among_the_choices() -> None:
    info = ObjectInfo({"Node": node({"x": [["old.png"], {}]}, end=True)})
    graph: Graph = {"1": {"class_type": "Node", "inputs": {"x": "new"}}}
    check(BoundWorkflow(graph, {}, (Upload("new", (("1", "x"),)),)), info)
    with pytest.raises(WorkflowRejected):
        check(loose(graph), info)
