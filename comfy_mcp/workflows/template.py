"""A template: a graph, its manifest, and the proof that the two belong together.

Owns the rules of loading. A template that loads can be bound; whether a ComfyUI can run it, `checks` says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from comfy_mcp.errors import BadRequest, InvalidParameter, TemplateError
from comfy_mcp.jobs import Graph
from comfy_mcp.strict_json import read_json
from comfy_mcp.workflows.manifest import Bind, Manifest, Parameter, read_manifest
from comfy_mcp.workflows.values import checked

__all__ = ["RESERVED_IDS", "Template", "is_link", "links_in", "load_template", "read_graph"]

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
        "compare_text_models",
    ]
)
"""Names of the fixed tools: a template of the same name would hide one."""

_ID = re.compile(r"[a-z][a-z0-9_]{0,31}")
_MOST_BYTES = 4 << 20
_MOST_NODES = 2_000
_LITERALS: Mapping[str, tuple[type, ...]] = {
    "text": (str,),
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "enum": (str,),
    "seed": (int,),
    "image": (str,),
    "mask": (str,),
    "model": (str,),
}


@dataclass(frozen=True)
class Template:
    """What can be made. ``shipped`` is False for a person's own."""

    id: str
    manifest: Manifest
    graph: Graph
    shipped: bool = False

    @property
    def title(self) -> str:
        return self.manifest.title

    @property
    def description(self) -> str:
        return self.manifest.description

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        return self.manifest.parameters

    @cached_property
    def pictures(self) -> tuple[str, ...]:
        """The parameters that take a picture."""
        return tuple(name for name, told in self.parameters.items() if told.type in ("image", "mask"))

    @cached_property
    def required(self) -> tuple[str, ...]:
        """The parameters that a caller must give."""
        return tuple(name for name, told in self.parameters.items() if told.required)

    @property
    def takes_style(self) -> bool:
        return "prompt" in self.parameters


def load_template(folder: Path, *, shipped: bool = False) -> Template:
    """Read a template folder and check it.

    Raises:
        TemplateError: something in it cannot be used; the message says what.
    """
    name = folder.name
    if not _ID.fullmatch(name) or "_mcp_" in name:
        raise TemplateError(
            f"The folder name {name!r} is no template id.", hint="Use up to 32 lower-case letters, digits, underscores."
        )
    if name in RESERVED_IDS:
        raise TemplateError(f"{name!r} is the name of a fixed tool.", hint="Rename the folder.")
    manifest = read_manifest(folder / "manifest.toml")
    try:
        data = (folder / "workflow.json").read_bytes()
    except OSError:
        raise TemplateError("workflow.json cannot be read.", hint="Export it from ComfyUI in API format.") from None
    template = Template(name, manifest, read_graph(data), shipped)
    for parameter, told in manifest.parameters.items():
        _check_parameter(template, parameter, told)
    return template


def read_graph(data: bytes) -> Graph:
    """An API-format graph from a file.

    Raises:
        TemplateError: not JSON, not API format, too large, a link to nowhere, or a cycle.
    """
    if len(data) > _MOST_BYTES:
        raise TemplateError("workflow.json is larger than 4 MiB.", hint="Export it in API format, without pictures.")
    try:
        told = read_json(data)
    except BadRequest as failure:
        raise TemplateError(f"workflow.json: {failure.message}", hint="Export it from ComfyUI again.") from None
    if isinstance(told, dict) and isinstance(cast(dict[str, Any], told).get("nodes"), list):
        raise TemplateError(
            "workflow.json is in the format of the canvas.", hint="Run comfy-workbench import on it, or export as API."
        )
    if not isinstance(told, dict) or not told:
        raise TemplateError("workflow.json holds no graph.", hint="Export it from ComfyUI in API format.")
    graph = cast(Graph, told)
    if len(graph) > _MOST_NODES:
        raise TemplateError(f"The graph has more than {_MOST_NODES} nodes.", hint="Split the workflow.")
    for node, content in graph.items():
        _check_node(node, content)
    for node, name, link in links_in(graph):
        if link[0] not in graph:
            raise TemplateError(f"Node {node}, input {name}: there is no node {link[0]}.", hint="Export it again.")
    _refuse_cycles(graph)
    return graph


def _check_node(node: str, content: object) -> None:
    entry = cast(dict[str, Any], content) if isinstance(content, dict) else {}
    if not isinstance(entry.get("class_type"), str) or not isinstance(entry.get("inputs"), dict):
        raise TemplateError(f"Node {node} has no class_type and inputs.", hint="Export it from ComfyUI in API format.")


def is_link(value: object) -> bool:
    """Whether an input comes from another node: `[node id, output slot]`."""
    return isinstance(value, list)


def links_in(graph: Graph) -> Iterator[tuple[str, str, list[Any]]]:
    """Every link as (node, input, [source node, slot])."""
    for node, content in graph.items():
        for name, value in content["inputs"].items():
            if isinstance(value, list):
                link = cast(list[Any], value)
                if len(link) != 2 or not isinstance(link[0], str) or not isinstance(link[1], int):
                    raise TemplateError(f"Node {node}, input {name}: a broken link.", hint="Export it again.")
                yield node, name, link


def _refuse_cycles(graph: Graph) -> None:
    """Without recursion: a graph from a stranger may be deep."""
    sources: dict[str, list[str]] = {node: [] for node in graph}
    for node, _, link in links_in(graph):
        sources[node].append(link[0])
    finished: set[str] = set()
    for start in graph:
        path: dict[str, Iterator[str]] = {} if start in finished else {start: iter(sources[start])}
        while path:
            node, rest = next(reversed(path.items()))
            source = next(rest, None)
            if source is None:
                finished.add(node)
                del path[node]
            elif source in path:
                raise TemplateError(f"The nodes {source} and {node} feed each other.", hint="Mend it in ComfyUI.")
            elif source not in finished:
                path[source] = iter(sources[source])


def _check_parameter(template: Template, name: str, parameter: Parameter) -> None:
    for bind in parameter.bind:
        literal = _literal(template.graph, name, bind)
        expected = _LITERALS[parameter.type]
        if not isinstance(literal, expected) or (isinstance(literal, bool) and bool not in expected):
            raise TemplateError(
                f"{name} is of type {parameter.type}, but {bind} holds {type(literal).__name__}.",
                hint="Change the type in manifest.toml.",
            )
    if parameter.default is not None and parameter.type != "seed":
        try:
            checked(name, parameter, parameter.default, choices=parameter.choices)
        except InvalidParameter as failure:
            raise TemplateError(f"The default of {failure.message}", hint="Mend it in manifest.toml.") from None


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
