# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownLambdaType=false, reportUnknownParameterType=false
# Node classes and graphs are dynamic by their nature, here as in ComfyUI.
"""`POST /prompt` before anything runs: ComfyUI's checks, in its words (execution.py, validate_prompt).

Owns the two shapes of a refusal and the coercion of values; what is coerced is what runs. Pure: nothing is executed.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from comfy_mcp.embedded.host import Host
from comfy_mcp.embedded.node import NodeClass, inputs_of

__all__ = ["Refused", "Valid", "validate"]

_MOST_LISTED = 20


@dataclass
class Refused(Exception):
    """The body of a 400 answer."""

    error: dict[str, Any]
    node_errors: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Valid:
    """The outputs that may run, and why others may not."""

    outputs: list[str]
    node_errors: dict[str, Any]


def _early(kind: str, message: str, details: str = "") -> Refused:
    return Refused({"type": kind, "message": message, "details": details, "extra_info": {}})


def validate(prompt: Any, nodes: Mapping[str, NodeClass], models: Mapping[str, list[str]], host: Host) -> Valid:
    """Check a graph and coerce its values in place.

    Raises:
        Refused: no output of it can run.
    """
    if not isinstance(prompt, dict):
        raise _early("prompt_no_outputs", "Prompt has no outputs")
    graph = cast(dict[str, Any], prompt)
    outputs = _outputs(graph, nodes)
    checker = _Checker(graph, nodes, models, host)
    good = [node for node in outputs if checker.output(node)]
    if not good:
        details = "\n".join(
            f"{each['message']}: {each['details']}" for node in outputs for each in checker.errors.get(node, ())
        )
        raise Refused(
            {
                "type": "prompt_outputs_failed_validation",
                "message": "Prompt outputs failed validation",
                "details": details,
                "extra_info": {},
            },
            checker.report(),
        )
    return Valid(good, checker.report())


def _outputs(graph: dict[str, Any], nodes: Mapping[str, NodeClass]) -> list[str]:
    outputs: list[str] = []
    for node, content in graph.items():
        if not isinstance(content, dict) or "class_type" not in content:
            raise _early(
                "invalid_prompt",
                "Cannot execute because a node is missing the class_type property.",
                f"Node ID '#{node}'",
            )
        name = cast(dict[str, Any], content)["class_type"]
        if name not in nodes:
            raise _early("invalid_prompt", f"Cannot execute because node {name} does not exist.", f"Node ID '#{node}'")
        if getattr(nodes[name], "OUTPUT_NODE", False):
            outputs.append(node)
    if not outputs:
        raise _early("prompt_no_outputs", "Prompt has no outputs")
    return outputs


class _Cycle(Exception):
    pass


class _Checker:
    def __init__(
        self, graph: dict[str, Any], nodes: Mapping[str, NodeClass], models: Mapping[str, list[str]], host: Host
    ) -> None:
        self._graph, self._nodes, self._models, self._host = graph, nodes, models, host
        self._valid: dict[str, bool] = {}
        self._path: set[str] = set()
        self.errors: dict[str, list[dict[str, Any]]] = {}
        self._dependents: dict[str, list[str]] = {}

    def output(self, node: str) -> bool:
        try:
            valid = self._node(node)
        except (_Cycle, RecursionError):
            return False
        except Exception as failure:  # noqa: BLE001 - a broken graph is reported, as ComfyUI does
            self._add(node, "exception_during_validation", "Exception when validating node", str(failure), {
                "exception_type": type(failure).__name__, "traceback": [],
            })  # fmt: skip
            valid = False
        for failed in self.errors:
            if not valid and failed not in self._dependents:
                self._dependents[failed] = []
        if not valid:
            for failed in self.errors:
                if node not in self._dependents[failed]:
                    self._dependents[failed].append(node)
        return valid

    def report(self) -> dict[str, Any]:
        return {
            node: {
                "errors": found,
                "dependent_outputs": self._dependents.get(node, []),
                "class_type": self._graph[node]["class_type"],
            }
            for node, found in self.errors.items()
        }

    def _add(self, node: str, kind: str, message: str, details: str, extra: dict[str, Any]) -> None:
        self.errors.setdefault(node, []).append(
            {"type": kind, "message": message, "details": details, "extra_info": extra}
        )

    def _node(self, node: str) -> bool:
        if node in self._valid:
            return self._valid[node]
        if node in self._path:
            raise _Cycle
        self._path.add(node)
        cls = self._nodes[self._graph[node]["class_type"]]
        given = self._graph[node]["inputs"]
        checks = getattr(cls, "VALIDATE_INPUTS", None)
        named = set(inspect.signature(checks).parameters) if checks else set[str]()
        sections = inputs_of(cls, self._models)
        valid = True
        for section in ("required", "optional"):
            for name, spec in sections.get(section, {}).items():
                valid &= self._input(node, name, spec, section == "required", name in named)
        if valid and checks is not None:
            valid = self._custom(node, checks, given, named)
        self._path.discard(node)
        self._valid[node] = valid and node not in self.errors
        return self._valid[node]

    def _input(self, node: str, name: str, spec: list[Any], required: bool, own: bool) -> bool:
        given = self._graph[node]["inputs"]
        config = [spec[0], spec[1] if len(spec) > 1 else {}]
        if name not in given:
            if required:
                self._add(node, "required_input_missing", "Required input is missing", name, {"input_name": name})
            return not required
        value = given[name]
        if isinstance(value, list):
            return self._link(node, name, config, cast(list[Any], value))
        return self._value(node, name, config, given, own)

    def _link(self, node: str, name: str, config: list[Any], link: list[Any]) -> bool:
        extra: dict[str, Any] = {"input_name": name, "input_config": config}
        if len(link) != 2:
            told = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            self._add(node, "bad_linked_input", told, name, {**extra, "received_value": link})
            return False
        # A link to nowhere raises; whoever asked for this node reports it.
        received = self._nodes[self._graph[link[0]]["class_type"]].RETURN_TYPES[link[1]]
        taken = "COMBO" if isinstance(config[0], list) else str(config[0])
        offered = "COMBO" if isinstance(received, list) else str(received)
        if "*" not in (taken, offered) and not set(taken.split(",")) & set(offered.split(",")):
            details = f"{name}, received_type({offered}) mismatch input_type({taken})"
            told = "Return type mismatch between linked nodes"
            more = {**extra, "received_type": received, "linked_node": link}
            self._add(node, "return_type_mismatch", told, details, more)
            return False
        try:
            return self._node(link[0])
        except (_Cycle, RecursionError):
            raise
        except Exception as failure:  # noqa: BLE001 - whatever is wrong inside is reported, as ComfyUI does
            # Under the id of the node that is broken, but with the input of the node that asked for it.
            more = {**extra, "exception_message": str(failure), "exception_type": type(failure).__name__}
            told = "Exception when validating inner node"
            more |= {"traceback": [], "linked_node": link}
            self._add(link[0], "exception_during_inner_validation", told, str(failure), more)
            return False

    def _value(self, node: str, name: str, config: list[Any], given: dict[str, Any], own: bool) -> bool:
        value = given[name]
        if isinstance(value, dict) and "__value__" in value:
            value = given[name] = value["__value__"]
        kind, options = config
        extra = {"input_name": name, "input_config": config, "received_value": value}
        convert: Any = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}.get(
            kind if isinstance(kind, str) else ""
        )
        if convert is not None:
            try:
                value = given[name] = convert(value)
            except (TypeError, ValueError, OverflowError) as failure:
                told = f"Failed to convert an input value to a {kind} value"
                more = {**extra, "exception_message": str(failure)}
                self._add(node, "invalid_input_type", told, f"{name}, {value}, {failure}", more)
                return False
        if own:
            return True
        for limit, beyond, word in (
            ("min", lambda low: value < low, "smaller"),
            ("max", lambda top: value > top, "bigger"),
        ):
            if kind in ("INT", "FLOAT") and limit in options and beyond(options[limit]):
                told = f"Value {value} {word} than {limit} of {options[limit]}"
                self._add(node, f"value_{word}_than_{limit}", told, name, {**extra, "received_value": value})
                return False
        if isinstance(kind, list) and value not in kind:
            self._not_listed(node, name, cast(list[Any], kind), extra, value)
            return False
        return True

    def _not_listed(self, node: str, name: str, kind: list[Any], extra: dict[str, Any], value: Any) -> None:
        listed = str(kind)
        if len(kind) > _MOST_LISTED:
            listed, extra = f"(list of length {len(kind)})", {**extra, "input_config": None}
        self._add(node, "value_not_in_list", "Value not in list", f"{name}: '{value}' not in {listed}", extra)

    def _custom(self, node: str, checks: Any, given: dict[str, Any], named: set[str]) -> bool:
        values = {name: given[name] for name in named if name in given and not isinstance(given[name], list)}
        if "host" in named:
            values["host"] = self._host
        told = checks(**values)
        if told is True:
            return True
        name = next(iter(named - {"host"}))
        details = f"{name} - {told}" if isinstance(told, str) else name
        self._add(node, "custom_validation_failed", "Custom validation failed for node", details, {"input_name": name})
        return False
