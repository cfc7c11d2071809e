# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownLambdaType=false, reportUnknownParameterType=false
# The files are JSON from strangers, read with .get; a type for each shape would say no more.
"""The file format of the canvas (versions 0.4 and 1), as scopes: the root, and one for every use of a subgraph.

Owns ids, links and what a link leads to through reroutes, primitives, bypassed nodes and subgraph borders, by the rules
of the front end (executionUtil.ts, ExecutableNodeDTO.ts). Knows no node class.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from comfy_mcp.errors import ConversionError

__all__ = ["BYPASSED", "MUTED", "VIRTUAL", "Gone", "Literal", "Output", "Scope", "root_scope"]

MUTED, BYPASSED = 2, 4
VIRTUAL = frozenset({"Reroute", "PrimitiveNode", "Note", "MarkdownNote", "SetNode", "GetNode"})
_INPUT_BORDER, _OUTPUT_BORDER = "-10", "-20"
_MOST_DEPTH = 32

Node = dict[str, Any]


@dataclass(frozen=True)
class Output:
    """An output of a node that is in the prompt."""

    node: str
    slot: int


@dataclass(frozen=True)
class Literal:
    """A value from a primitive or a promoted widget."""

    value: Any


@dataclass(frozen=True)
class Gone:
    """The source is muted: the consumer loses the input, its own value included."""


@dataclass
class Scope:
    """Nodes and links of one level. ``prefix`` is put before ids, as in `"12:5"`."""

    nodes: dict[str, Node]
    links: dict[str, tuple[str, int]]
    definitions: Mapping[str, dict[str, Any]]
    prefix: str = ""
    parent: Scope | None = None
    instance: Node | None = None
    definition: dict[str, Any] | None = None
    children: dict[str, Scope] = field(default_factory=dict[str, "Scope"])
    depth: int = 0

    def id_of(self, node: Node) -> str:
        return self.prefix + str(node.get("id"))

    def is_subgraph(self, node: Node) -> bool:
        return node.get("type") in self.definitions

    def child(self, node: Node) -> Scope:
        """The scope inside a subgraph instance."""
        name = str(node["id"])
        if name not in self.children:
            if self.depth >= _MOST_DEPTH:
                raise ConversionError("Subgraphs are nested too deeply.", hint="Unpack some of them in ComfyUI.")
            definition = self.definitions[node["type"]]
            child = _scope(definition, self.definitions, self.id_of(node) + ":")
            child.parent, child.instance, child.definition, child.depth = self, node, definition, self.depth + 1
            self.children[name] = child
        return self.children[name]

    def walk(self) -> Iterator[tuple[Scope, Node]]:
        """Every node that is really executed, with its scope; inside subgraphs too."""
        for node in self.nodes.values():
            if node.get("mode") in (MUTED, BYPASSED) or node.get("type") in VIRTUAL:
                continue
            if self.is_subgraph(node):
                yield from self.child(node).walk()
            else:
                yield self, node

    def resolve(self, link: Any, wanted: str, depth: int = 0) -> Output | Literal | Gone | None:
        """Where a link comes from; None when it leads nowhere, so that the consumer's own value stays."""
        if depth > 200:
            raise ConversionError("The links of the workflow go round in a circle.", hint="Mend it in ComfyUI.")
        if link is None or str(link) not in self.links:
            return None
        origin, slot = self.links[str(link)]
        if origin == _INPUT_BORDER:
            return self._through_border(slot, wanted, depth)
        node = self.nodes.get(origin)
        return None if node is None else self._output(node, slot, wanted, depth)

    def _through_border(self, slot: int, wanted: str, depth: int) -> Output | Literal | Gone | None:
        if self.parent is None or self.instance is None or self.definition is None:
            return None
        declared = self.definition.get("inputs") or []
        if slot >= len(declared):
            return None
        name = declared[slot].get("name")
        for given in self.instance.get("inputs") or []:
            if given.get("name") == name and given.get("link") is not None:
                return self.parent.resolve(given["link"], wanted, depth + 1)
        promoted = self.promoted()
        return Literal(promoted[name]) if name in promoted else None

    def _output(self, node: Node, slot: int, wanted: str, depth: int) -> Output | Literal | Gone | None:
        kind, mode = node.get("type"), node.get("mode")
        if mode == MUTED:
            return Gone()
        if kind == "Reroute":
            found = self._first_input(node, wanted, depth)
            return None if isinstance(found, Literal) else found
        if kind == "PrimitiveNode":
            values = node.get("widgets_values") or []
            return Literal(values[0]) if isinstance(values, list) and values else None
        if kind == "GetNode":
            return self._through_name(node, wanted, depth)
        if kind == "SetNode":
            return self._first_input(node, wanted, depth)
        if mode == BYPASSED:
            return self._bypassed(node, slot, wanted, depth)
        if kind in VIRTUAL:
            return None
        if self.is_subgraph(node):
            return self._out_of_subgraph(node, slot, wanted, depth)
        return Output(self.id_of(node), slot)

    def _first_input(self, node: Node, wanted: str, depth: int) -> Output | Literal | Gone | None:
        inputs = node.get("inputs") or [{}]
        return self.resolve(inputs[0].get("link"), wanted, depth + 1)

    def _through_name(self, node: Node, wanted: str, depth: int) -> Output | Literal | Gone | None:
        name = (node.get("widgets_values") or [None])[0]
        for other in self.nodes.values():
            if other.get("type") == "SetNode" and (other.get("widgets_values") or [None])[0] == name:
                return self._first_input(other, wanted, depth)
        return None if self.parent is None else self.parent._through_name(node, wanted, depth)

    def _bypassed(self, node: Node, slot: int, wanted: str, depth: int) -> Output | Literal | Gone | None:
        inputs = cast(list[Node], node.get("inputs") or [])
        outputs = cast(list[Node], node.get("outputs") or [])
        given = str(outputs[slot].get("type", "")) if slot < len(outputs) else ""

        def fits(each: Node) -> bool:
            kind = str(each.get("type", ""))
            return _compatible(kind, given) and _compatible(kind, wanted)

        choice: Node | None = None
        if wanted in ("*", ""):
            choice = inputs[slot if slot < len(inputs) else 0] if inputs else None
        elif slot < len(inputs) and fits(inputs[slot]):
            choice = inputs[slot]
        else:
            exact = [each for each in inputs if each.get("type") == wanted]
            choice = next(iter(exact + [each for each in inputs if fits(each)]), None)
        return None if choice is None else self.resolve(choice.get("link"), wanted, depth + 1)

    def _out_of_subgraph(self, node: Node, slot: int, wanted: str, depth: int) -> Output | Literal | Gone | None:
        child = self.child(node)
        declared = (child.definition or {}).get("outputs") or []
        links = declared[slot].get("linkIds") or [] if slot < len(declared) else []
        return child.resolve(links[0], wanted, depth + 1) if links else None

    def promoted(self) -> dict[str, Any]:
        """The values that the instance of this subgraph holds for its inner widgets, by input name."""
        values = (self.instance or {}).get("widgets_values")
        if isinstance(values, dict):
            return cast(dict[str, Any], values)
        names = [
            str(declared.get("name"))
            for declared in (self.definition or {}).get("inputs") or []
            if any(self._reaches_widget(link) for link in declared.get("linkIds") or [])
        ]
        return dict(zip(names, cast(list[Any], values or []), strict=False))

    def _reaches_widget(self, link: Any) -> bool:
        return any(
            str(given.get("link")) == str(link) and given.get("widget")
            for node in self.nodes.values()
            for given in node.get("inputs") or []
        )

    def proxied(self) -> dict[tuple[str, str], Any]:
        """Values by (inner node, widget) as newer front ends list them; empty when they do not match the values."""
        properties = cast(Node, (self.instance or {}).get("properties") or {})
        places = properties.get("proxyWidgets") or []
        values = (self.instance or {}).get("widgets_values") or []
        if not isinstance(values, list) or len(places) != len(cast(list[Any], values)):
            return {}
        return {(str(place[0]), str(place[1])): value for place, value in zip(places, values, strict=True)}


def _compatible(one: str, other: str) -> bool:
    if one in ("*", "", "0") or other in ("*", "", "0"):
        return True
    return bool(set(one.lower().split(",")) & set(other.lower().split(",")))


def root_scope(workflow: dict[str, Any]) -> Scope:
    """The root of a workflow file. Raises ConversionError for what is no such file."""
    definitions: dict[str, dict[str, Any]] = {}
    stack: list[Any] = [workflow]
    while stack:
        for definition in ((stack.pop() or {}).get("definitions") or {}).get("subgraphs") or []:
            definitions[str(definition.get("id"))] = definition
            stack.append(definition)
    try:
        return _scope(workflow, definitions, "")
    except (AttributeError, TypeError, KeyError, IndexError):
        raise ConversionError("The workflow file is damaged.", hint="Open it in ComfyUI and save it again.") from None


def _scope(told: dict[str, Any], definitions: Mapping[str, dict[str, Any]], prefix: str) -> Scope:
    nodes = {str(node["id"]): node for node in told.get("nodes") or []}
    links: dict[str, tuple[str, int]] = {}
    for link in told.get("links") or []:
        if isinstance(link, dict):
            each = cast(Node, link)
            links[str(each["id"])] = (str(each["origin_id"]), int(each["origin_slot"]))
        elif link:
            links[str(link[0])] = (str(link[1]), int(link[2]))
    return Scope(nodes, links, definitions, prefix)
