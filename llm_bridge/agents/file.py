"""The JSON file of agents, checked as a whole: one error tells everything that is wrong with it.

The form is that of chat front ends that run agents on local models (`agents.json` of the My Assistant extension): a
list, or an object with the list ``agents``, of

    {"name": "Ada", "metadata": {"llm": {"model": "qwen3-8b", "baseURL": "http://localhost:1234/v1"}}}

and, beyond it: ``description``; ``system`` (or ``systemPrompt``, or ``instructions``); ``parameters``, the fields of
`Sampling`; ``context``, a strategy of the context or an object with ``strategy`` and ``reserve``; ``tools``, functions
as OpenAI has them; ``metadata.llm.apiKeyEnv``, the name of the environment variable with the key. The front end's own
``path`` and ``settings``, and the rest of ``metadata``, are passed over; so is whatever else is there, with a note,
unless it looks like a slip of the pen for something that is not there. No key is read from the file: for a server on
this machine, which mostly wants none, one is passed over, too.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

from llm_bridge.agents.agent import Agent
from llm_bridge.chat import Sampling, Tool
from llm_bridge.context import STRATEGIES, Strategy
from llm_bridge.endpoints import Endpoint
from llm_bridge.errors import BadInput

__all__ = ["MOST_BYTES", "load", "parse"]

MOST_BYTES = 4 * 1024 * 1024

_Object = Mapping[str, object]

_SYSTEM = ("system", "systemPrompt", "instructions")
_AGENT = ("name", "description", "metadata", *_SYSTEM, "parameters", "context", "tools", "path", "settings")
_LLM = ("model", "baseURL", "apiKeyEnv")
_SLIP = 0.8
"""How much alike two names are of which one is taken for a misspelling of the other."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_RANGES: Mapping[str, tuple[type, float, float]] = {
    "temperature": (float, 0, math.inf),
    "top_p": (float, 0, 1),
    "top_k": (int, 0, math.inf),
    "min_p": (float, 0, 1),
    "repeat_penalty": (float, 0, math.inf),
    "presence_penalty": (float, -2, 2),
    "frequency_penalty": (float, -2, 2),
    "seed": (int, -math.inf, math.inf),
    "max_tokens": (int, 1, math.inf),
}
_KINDS: Mapping[type, str] = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    list: "a list",
    dict: "an object",
}


def load(path: Path) -> tuple[Agent, ...]:
    """The agents of a file.

    Raises: BadInput, with the file's name and all that is wrong.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError:
        raise BadInput(f"{path.name} cannot be read.", hint="Is it there, and may it be read?") from None
    if len(data) > MOST_BYTES:
        raise BadInput(f"{path.name} is too large.", hint=f"At most {MOST_BYTES} bytes.")
    try:
        value: object = json.loads(data.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise BadInput(f"{path.name} is no JSON: line {error.lineno}, column {error.colno}.", hint=error.msg) from None
    except (ValueError, RecursionError):
        raise BadInput(f"{path.name} is no usable JSON in UTF-8.", hint="Save it as UTF-8.") from None
    return parse(value, path.name)


def parse(value: object, source: str = "agents.json") -> tuple[Agent, ...]:
    """The agents of a file that was read as JSON; ``source`` is what errors call it.

    Raises: BadInput, whose detail ``problems`` lists all that is wrong.
    """
    reader = _Reader()
    agents = reader.agents(value)
    if reader.problems:
        many = f" has {len(reader.problems)} problems" if len(reader.problems) > 1 else ""
        told = "; ".join(reader.problems)
        raise BadInput(f"{source}{many}: {told}.", hint="Mend it and load it again.", problems=tuple(reader.problems))
    return agents


class _Reader:
    """Reads on after a problem, with something harmless in the place of what is wrong."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self.notes: list[str] = []

    def agents(self, value: object) -> tuple[Agent, ...]:
        if isinstance(value, dict):
            value = cast("_Object", value).get("agents")
        if not isinstance(value, list):
            self.problems.append("it must be a list of agents, or an object with one as agents")
            return ()
        agents = [self._agent(item, f"agents[{n}]") for n, item in enumerate(cast("list[object]", value))]
        names = [agent.name for agent in agents if agent.name]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self.problems.append(f'more than one agent is named "{name[:64]}"')
        return tuple(agents)

    def _agent(self, value: object, where: str) -> Agent:
        fields, self.notes = self._object(value, where), []
        self._known(fields, where, _AGENT)
        name = self._text(fields, "name", where, required=True)
        llm = self._object(
            self._object(fields.get("metadata"), f"{where}.metadata").get("llm"), f"{where}.metadata.llm"
        )
        strategy, reserve = self._context(fields.get("context"), f"{where}.context")
        agent = Agent(
            name,
            self._text(llm, "model", f"{where}.metadata.llm", required=True),
            self._endpoint(llm, name, f"{where}.metadata.llm"),
            self._text(fields, "description", where),
            self._system(fields, where),
            self._sampling(fields.get("parameters"), f"{where}.parameters"),
            strategy,
            reserve,
            self._tools(fields.get("tools"), f"{where}.tools"),
        )
        return replace(agent, notes=tuple(self.notes))

    def _endpoint(self, llm: _Object, name: str, where: str) -> Endpoint | None:
        self._known(llm, where, (*_LLM, "apiKey"))
        variable = self._text(llm, "apiKeyEnv", where)
        if variable and not _VARIABLE.fullmatch(variable):
            self.problems.append(f"{where}.apiKeyEnv must be the name of an environment variable, not a key")
        url, endpoint = self._text(llm, "baseURL", where), None
        try:
            endpoint = Endpoint(name or where, url, key_env=variable or None) if url else None
        except BadInput as error:
            self.problems.append(f"{where}.baseURL is not usable ({error.message.rstrip('.')})")
        if variable and not url:
            self.problems.append(f"{where}.apiKeyEnv needs a baseURL beside it")
        if llm.get("apiKey"):
            told = self.notes if endpoint and endpoint.is_loopback else self.problems
            told.append(f"{where}.apiKey is not read; name an environment variable as apiKeyEnv instead")
        return endpoint

    def _system(self, fields: _Object, where: str) -> str:
        given = [name for name in _SYSTEM if fields.get(name) is not None]
        if len(given) > 1:
            self.problems.append(f"{where} has both {given[0]} and {given[1]}, which mean the same")
        return self._text(fields, given[0], where) if given else ""

    def _sampling(self, value: object, where: str) -> Sampling:
        fields = self._object({} if value is None else value, where)
        self._known(fields, where, (*_RANGES, "stop"))
        numbers: dict[str, Any] = {name: self._number(fields, name, where) for name in _RANGES}
        stop = fields.get("stop")
        stops = cast("list[object]", stop) if isinstance(stop, list) else [] if stop is None else [stop]
        if not all(isinstance(item, str) and item for item in stops):
            self.problems.append(f"{where}.stop must be a text or a list of texts")
        return Sampling(**numbers, stop=tuple(item for item in stops if isinstance(item, str)))

    def _number(self, fields: _Object, name: str, where: str) -> float | None:
        value = fields.get(name)
        if value is None:
            return None
        kind, low, high = _RANGES[name]
        if isinstance(value, kind | int) and not isinstance(value, bool):
            number = cast("float", value)
            if low <= number <= high and number not in (math.inf, -math.inf):
                return number
        limits = f" from {low:g} to {high:g}" if high < math.inf else f" of at least {low:g}" if low > -math.inf else ""
        self.problems.append(f"{where}.{name} must be {_KINDS[kind]}{limits}")
        return None

    def _context(self, value: object, where: str) -> tuple[Strategy, int | None]:
        fields: _Object = {"strategy": value} if not isinstance(value, dict) else cast("_Object", value)
        self._known(fields, where, ("strategy", "reserve"))
        strategy, reserve = fields.get("strategy"), fields.get("reserve")
        if strategy is not None and strategy not in STRATEGIES:
            self.problems.append(f"{where} must be one of {', '.join(STRATEGIES)}{_nearest(strategy, STRATEGIES)}")
            strategy = None
        if reserve is not None and (not isinstance(reserve, int) or isinstance(reserve, bool) or reserve < 1):
            self.problems.append(f"{where}.reserve must be a whole number of at least 1")
            reserve = None
        return strategy or "error", reserve

    def _tools(self, value: object, where: str) -> tuple[Tool, ...]:
        if value is not None and not isinstance(value, list):
            self.problems.append(f"{where} must be a list")
            return ()
        given = enumerate(cast("Sequence[object]", value or ()))
        return tuple(self._tool(item, f"{where}[{n}]") for n, item in given)

    def _tool(self, value: object, where: str) -> Tool:
        fields = self._object(value, where)
        if "function" in fields:
            self._known(fields, where, ("type", "function"))
            fields, where = self._object(fields["function"], f"{where}.function"), f"{where}.function"
        self._known(fields, where, ("name", "description", "parameters", "strict"))
        tool = Tool(self._text(fields, "name", where, required=True), self._text(fields, "description", where))
        if fields.get("parameters") is None:
            return tool
        return Tool(tool.name, tool.description, self._object(fields["parameters"], f"{where}.parameters"))

    def _object(self, value: object, where: str) -> _Object:
        if isinstance(value, dict):
            return cast("_Object", value)
        self.problems.append(f"{where} must be an object")
        return {}

    def _text(self, fields: _Object, name: str, where: str, *, required: bool = False) -> str:
        value = fields.get(name)
        if value is None and not required:
            return ""
        if isinstance(value, str) and (value.strip() or not required):
            return value
        self.problems.append(f"{where}.{name} must be a text{' that says something' if required else ''}")
        return ""

    def _known(self, fields: _Object, where: str, names: Iterable[str]) -> None:
        names = tuple(names)
        missing = {name.casefold(): name for name in names if fields.get(name) is None}
        for name in fields:
            if name in names:
                continue
            if near := get_close_matches(name.casefold(), missing, 1, _SLIP):
                self.problems.append(f"{where}.{name[:64]} is unknown (did you mean {missing[near[0]]}?)")
            else:
                self.notes.append(f"{where}.{name[:64]} is unknown and was passed over")


def _nearest(name: object, names: Sequence[str]) -> str:
    near = get_close_matches(str(name), names, 1)
    return f" (did you mean {near[0]}?)" if near else ""
