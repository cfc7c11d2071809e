# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownLambdaType=false, reportUnknownParameterType=false
# Node classes and graphs are dynamic by their nature, here as in ComfyUI.
"""`POST /prompt` before anything runs: ComfyUI's checks, in its words (execution.py, validate_prompt).

Owns the two shapes of a refusal and the coercion of values; what is coerced is what runs. Of the nodes, only
VALIDATE_INPUTS is called, which may wait.
"""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from comfy_mcp.embedded.calling import given_to, mapped, resolved
from comfy_mcp.embedded.host import Host
from comfy_mcp.embedded.node import NodeClass, inputs_of

__all__ = ["Refused", "Valid", "validate"]

_MOST_LISTED = 20
_CONVERTED = {"INT": int, "FLOAT": float, "STRING": str, "BOOLEAN": bool}


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
    return Refused(_error(kind, message, details, {}))


async def validate(prompt: Any, nodes: Mapping[str, NodeClass], models: Mapping[str, list[str]], host: Host) -> Valid:
    """Check a graph and coerce its values in place.

    Raises:
        Refused: no output of it can run.
    """
    if not isinstance(prompt, dict):
        raise _early("prompt_no_outputs", "Prompt has no outputs")
    graph = cast(dict[str, Any], prompt)
    outputs = _outputs(graph, nodes)
    checker = _Checker(graph, nodes, models, host)
    good = [node for node in outputs if await checker.output(node)]
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
        if getattr(nodes[name], "OUTPUT_NODE", False) is True:
            outputs.append(node)
    if not outputs:
        raise _early("prompt_no_outputs", "Prompt has no outputs")
    return outputs


class _Cycle(Exception):
    pass


class _Checks:
    """VALIDATE_INPUTS of a class: which inputs it looks at itself, and are so spared the checks of ranges and lists."""

    def __init__(self, cls: NodeClass) -> None:
        function = getattr(cls, "VALIDATE_INPUTS", None)
        told = inspect.getfullargspec(function) if function is not None else None
        self.names = frozenset(told.args) if told is not None else frozenset[str]()
        self.takes_all = told is not None and told.varkw is not None

    def __bool__(self) -> bool:
        return self.takes_all or bool(self.names)

    def takes(self, name: str) -> bool:
        return self.takes_all or name in self.names


class _Checker:
    def __init__(
        self, graph: dict[str, Any], nodes: Mapping[str, NodeClass], models: Mapping[str, list[str]], host: Host
    ) -> None:
        self._graph, self._nodes, self._models, self._host = graph, nodes, models, host
        self._valid: dict[str, bool] = {}
        self._path: set[str] = set()
        self.errors: dict[str, list[dict[str, Any]]] = {}
        self._dependents: dict[str, list[str]] = {}

    async def output(self, node: str) -> bool:
        try:
            valid = await self._node(node)
        except (_Cycle, RecursionError):
            return False
        except Exception as failure:  # noqa: BLE001 - a broken graph is reported, as ComfyUI does
            told = "Exception when validating node"
            more = {"exception_type": type(failure).__name__, "traceback": traceback.format_tb(failure.__traceback__)}
            self.errors[node] = [_error("exception_during_validation", told, str(failure), more)]
            self._valid[node] = valid = False
        for failed in self.errors:
            dependents = self._dependents.setdefault(failed, [])
            if not valid and node not in dependents:
                dependents.append(node)
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
        self.errors.setdefault(node, []).append(_error(kind, message, details, extra))

    async def _node(self, node: str) -> bool:
        if node in self._valid:
            return self._valid[node]
        if node in self._path:
            raise _Cycle
        self._path.add(node)
        cls = self._nodes[self._graph[node]["class_type"]]
        checks, received = _Checks(cls), dict[str, Any]()
        sections = inputs_of(cls, self._models)
        valid = True
        for section in ("required", "optional"):
            for name, spec in sections.get(section, {}).items():
                config = [spec[0], spec[1] if len(spec) > 1 else {}]
                value = self._graph[node]["inputs"].get(name)
                if name not in self._graph[node]["inputs"]:
                    valid &= self._absent(node, name, section)
                elif isinstance(value, list):
                    valid &= await self._link(node, name, config, checks, received)
                else:
                    valid &= self._value(node, name, config, checks)
        if checks:
            valid &= await self._custom(node, cls, checks, received)
        self._path.discard(node)
        self._valid[node] = valid and node not in self.errors
        return self._valid[node]

    def _absent(self, node: str, name: str, section: str) -> bool:
        if section == "required":
            self._add(node, "required_input_missing", "Required input is missing", name, {"input_name": name})
        return section != "required"

    async def _link(self, node: str, name: str, config: list[Any], checks: _Checks, received: dict[str, Any]) -> bool:
        link = cast(list[Any], self._graph[node]["inputs"][name])
        extra: dict[str, Any] = {"input_name": name, "input_config": config}
        if len(link) != 2:
            told = "Bad linked input, must be a length-2 list of [node_id, slot_index]"
            self._add(node, "bad_linked_input", told, name, {**extra, "received_value": link})
            return False
        # A link to nowhere raises; whoever asked for this node reports it.
        offered = received[name] = self._nodes[self._graph[link[0]]["class_type"]].RETURN_TYPES[link[1]]
        if "input_types" not in checks.names and not _fits(offered, config[0]):
            details = f"{name}, received_type({offered}) mismatch input_type({config[0]})"
            told = "Return type mismatch between linked nodes"
            more = {**extra, "received_type": offered, "linked_node": link}
            self._add(node, "return_type_mismatch", told, details, more)
            return False
        try:
            return await self._node(link[0])
        except (_Cycle, RecursionError):
            raise
        except Exception as failure:  # noqa: BLE001 - whatever is wrong inside is reported, as ComfyUI does
            # Under the id of the node that is broken, but with the input of the node that asked for it.
            trace = traceback.format_tb(failure.__traceback__)
            more = {**extra, "exception_message": str(failure), "exception_type": type(failure).__name__}
            more |= {"traceback": trace, "linked_node": link}
            told = "Exception when validating inner node"
            self.errors[link[0]] = [_error("exception_during_inner_validation", told, str(failure), more)]
            self._valid[link[0]] = False
            return False

    def _value(self, node: str, name: str, config: list[Any], checks: _Checks) -> bool:
        given = self._graph[node]["inputs"]
        value = given[name]
        if isinstance(value, dict) and "__value__" in value:
            value = given[name] = value["__value__"]
        kind = config[0]
        extra = {"input_name": name, "input_config": config, "received_value": value}
        # Compared, not looked up: the type of a socket for everything may be equal to all of them.
        convert: Any = next((each for word, each in _CONVERTED.items() if kind == word), None)
        if convert is not None:
            try:
                value = given[name] = convert(value)
            except (TypeError, ValueError, OverflowError) as failure:
                told = f"Failed to convert an input value to a {kind} value"
                more = {**extra, "exception_message": str(failure)}
                self._add(node, "invalid_input_type", told, f"{name}, {value}, {failure}", more)
                return False
        return checks.takes(name) or self._in_range(node, name, {**extra, "received_value": value})

    def _in_range(self, node: str, name: str, extra: dict[str, Any]) -> bool:
        (kind, options), value = extra["input_config"], extra["received_value"]
        for limit, beyond, word in (
            ("min", lambda low: value < low, "smaller"),
            ("max", lambda top: value > top, "bigger"),
        ):
            if kind in ("INT", "FLOAT") and limit in options and beyond(options[limit]):
                told = f"Value {value} {word} than {limit} of {options[limit]}"
                self._add(node, f"value_{word}_than_{limit}", told, name, extra)
                return False
        if isinstance(kind, list) and value not in kind:
            self._not_listed(node, name, cast(list[Any], kind), extra)
            return False
        return True

    def _not_listed(self, node: str, name: str, kind: list[Any], extra: dict[str, Any]) -> None:
        listed = str(kind)
        if len(kind) > _MOST_LISTED:
            listed, extra = f"(list of length {len(kind)})", {**extra, "input_config": None}
        details = f"{name}: '{extra['received_value']}' not in {listed}"
        self._add(node, "value_not_in_list", "Value not in list", details, extra)

    async def _custom(self, node: str, cls: NodeClass, checks: _Checks, received: dict[str, Any]) -> bool:
        hidden = {"PROMPT": {}, "EXTRA_PNGINFO": None, "UNIQUE_ID": node}
        every = given_to(cls, self._graph[node]["inputs"], hidden)
        given = {name: values for name, values in every.items() if checks.takes(name)}
        if "input_types" in checks.names:
            given["input_types"] = [received]
        own = {"host": [self._host]} if getattr(cls, "NEEDS_HOST", False) and "host" in checks.names else {}
        told = await resolved(await mapped(cls, "VALIDATE_INPUTS", {**given, **own}, node))
        bad = [each for each in told if each is not True]
        # As in ComfyUI, which does not know what input a refusal is about, and so tells it for each.
        for name in given:
            for each in bad:
                details = name if each is False else f"{name} - {each}"
                message = "Custom validation failed for node"
                self._add(node, "custom_validation_failed", message, details, {"input_name": name})
        return not (bad and given)


def _error(kind: str, message: str, details: str, extra: dict[str, Any]) -> dict[str, Any]:
    return {"type": kind, "message": message, "details": details, "extra_info": extra}


def _fits(offered: Any, taken: Any) -> bool:
    """comfy_execution/validation.py: by `!=`, which a type for everything overrides, or one type in common."""
    if not offered != taken:  # noqa: SIM202 - packs override `!=` alone
        return True
    if not isinstance(offered, str) or not isinstance(taken, str):
        return False
    return not {each.strip() for each in offered.split(",")}.isdisjoint(each.strip() for each in taken.split(","))
