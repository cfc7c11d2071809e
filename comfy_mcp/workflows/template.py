"""A template: a graph, its manifest, and the proof that the two belong together.

Owns the rules of loading. A template that loads can be bound; whether a ComfyUI can run it, `checks` says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from comfy_mcp.errors import BadRequest, TemplateError
from comfy_mcp.jobs import GRAPH, Graph
from comfy_mcp.workflows.graph import MOST_GRAPH_BYTES, is_link, links_in, read_graph
from comfy_mcp.workflows.manifest import Bind, Manifest, Parameter, read_manifest
from comfy_mcp.workflows.reading import read_file
from comfy_mcp.workflows.values import checked, on_grid

__all__ = ["RESERVED_IDS", "Template", "check_id", "load_template", "read_graph", "template_of"]

RESERVED_IDS = frozenset(
    [
        "get_result",
        "cancel_job",
        "list_jobs",
        "list_templates",
        "describe_template",
        "run_template",
        "list_models",
        "list_styles",
        "upload_image",
        "sweep",
        "save_preset",
        "open_form",
        "chat",
        "compare_text_models",
        GRAPH,
    ]
)
"""Names of the fixed tools, and what stands for a template in a job without one: a template would hide them."""

_ID = re.compile(r"[a-z][a-z0-9_]{0,31}")
_SCALARS = (str, bool, int, float)
_LITERALS: Mapping[str, tuple[type, ...]] = {
    "text": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "enum": _SCALARS,
    "seed": (int,),
    "image": (str,),
    "mask": (str,),
    "model": (str,),
}
_MIDWAY = frozenset(
    [
        "CheckpointLoaderSimple",
        "CLIPTextEncode",
        "EmptyLatentImage",
        "EmptySD3LatentImage",
        "KSampler",
        "KSamplerAdvanced",
        "LoadImage",
        "LoraLoader",
        "SamplerCustomAdvanced",
        "VAEDecode",
        "VAEEncode",
    ]
)
"""Classes that keep nothing: a graph that ends in these alone was exported without its output node."""


@dataclass(frozen=True)
class Template:
    """What can be made. ``folder`` is where it was read; ``shipped`` is False for a person's own."""

    id: str
    manifest: Manifest
    graph: Graph
    folder: Path
    shipped: bool = False

    @property
    def title(self) -> str:
        return self.manifest.title

    @property
    def description(self) -> str:
        return self.manifest.description

    @property
    def parameters(self) -> dict[str, Parameter]:
        return self.manifest.parameters

    @property
    def pictures(self) -> tuple[str, ...]:
        """The parameters that take a picture."""
        return tuple(name for name, told in self.parameters.items() if told.type in ("image", "mask"))

    @property
    def required(self) -> tuple[str, ...]:
        """The parameters that a caller must give."""
        return tuple(name for name, told in self.parameters.items() if told.required)

    @property
    def takes_style(self) -> bool:
        """Whether there is a prompt that a style can be put around."""
        return "prompt" in self.parameters and self.parameters["prompt"].type == "text"


def load_template(folder: Path, *, shipped: bool = False) -> Template:
    """Read a template folder and check it.

    Raises:
        TemplateError: something in it cannot be used; the message says what.
    """
    name = folder.name
    check_id(name)
    manifest = read_manifest(folder / "manifest.toml")
    data = read_file(folder / "workflow.json", MOST_GRAPH_BYTES)
    if data is None:
        raise TemplateError("There is no workflow.json.", hint="Export it from ComfyUI in API format.")
    return template_of(name, manifest, read_graph(data), folder, shipped=shipped)


def check_id(name: str) -> None:
    """Raises TemplateError for what cannot be the id of a template, and so the name of its folder and its tool."""
    if not _ID.fullmatch(name) or "_mcp_" in name:
        raise TemplateError(
            f"The folder name {name[:64]!r} is no template id.",
            hint="Use up to 32 lower-case letters, digits and underscores, a letter first, without _mcp_.",
        )
    if name in RESERVED_IDS:
        raise TemplateError(f"{name!r} is the name of a fixed tool.", hint="Take another one.")


def template_of(name: str, manifest: Manifest, graph: Graph, folder: Path, *, shipped: bool = False) -> Template:
    """The template of these parts, wherever they came from.

    Raises:
        TemplateError: they do not belong together; the detail ``parameter`` is there when one is to blame.
    """
    _refuse_without_output(graph)
    for parameter, told in manifest.parameters.items():
        try:
            _check_parameter(graph, parameter, told)
        except TemplateError as failure:
            failure.details["parameter"] = parameter
            raise
    return Template(name, manifest, graph, folder, shipped)


def _refuse_without_output(graph: Graph) -> None:
    """Which nodes keep something only ComfyUI knows; but an end that is known to keep nothing is no such node."""
    feeding = {source for _, _, (source, _) in links_in(graph)}
    ends = [content["class_type"] for node, content in graph.items() if node not in feeding]
    if all(end in _MIDWAY for end in ends):
        raise TemplateError("The workflow has no output node.", hint="Add a Save Image node in ComfyUI, export again.")


def _check_parameter(graph: Graph, name: str, parameter: Parameter) -> None:
    for bind in parameter.bind:
        literal = _literal(graph, name, bind)
        expected = _LITERALS[parameter.type]
        if not isinstance(literal, expected) or (isinstance(literal, bool) and bool not in expected):
            raise TemplateError(
                f"{name} is of type {parameter.type}, but {bind} holds {type(literal).__name__}.",
                hint="Change the type in manifest.toml.",
            )
        if parameter.type in ("int", "float"):
            _check_default(name, parameter, literal, f"The value in workflow.json ({bind})")
    drawn = parameter.type == "seed" and parameter.default == -1
    # Only ComfyUI knows its choices, and what it offers may look like anything; binding compares the two.
    live = parameter.type == "enum" and parameter.choices_from is not None
    if parameter.default is not None and not drawn and not live:
        if isinstance(parameter.default, str) and parameter.type in ("int", "float", "bool", "seed"):
            raise TemplateError(
                f"The default of {name} is a text, not of type {parameter.type}.", hint="Leave out the quotes."
            )
        _check_default(name, parameter, parameter.default, "The default")
        if parameter.type == "int" and on_grid(parameter, int(parameter.default)) != parameter.default:
            raise TemplateError(
                f"The default of {name} is not on its steps of {parameter.step}.", hint="Mend it in manifest.toml."
            )


def _check_default(name: str, parameter: Parameter, value: object, what: str) -> None:
    try:
        checked(name, parameter, value, choices=parameter.choices)
    except BadRequest as failure:
        raise TemplateError(f"{what} does not fit: {failure.message}", hint="Mend it in manifest.toml.") from None


def _literal(graph: Graph, name: str, bind: Bind) -> object:
    node = graph.get(bind.node)
    if node is None:
        raise TemplateError(f"{name}: workflow.json has no node {bind.node}.", hint="Bind it to another node.")
    if node["class_type"] != bind.class_type:
        raise TemplateError(
            f"{name}: node {bind.node} is {node['class_type']}, not {bind.class_type}.",
            hint="The workflow was exported again with other numbers: bind it anew.",
        )
    if bind.input not in node["inputs"]:
        raise TemplateError(f"{name}: {bind.class_type} has no input {bind.input!r}.", hint="Bind another input.")
    if is_link(node["inputs"][bind.input]):
        raise TemplateError(
            f"{name}: {bind} comes from another node, so no value can be put there.", hint="Bind that node's input."
        )
    return node["inputs"][bind.input]
