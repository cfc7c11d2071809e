"""A template while somebody writes it: what they typed, as they typed it, and what is wrong with that.

Owns the way from a template to its rows of texts and back. What is done with a draft is in authoring.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError

from comfy_mcp.errors import TemplateError
from comfy_mcp.jobs import Graph
from comfy_mcp.workflows import Bind, Manifest, Parameter, Template, check_id, template_of
from comfy_mcp.workflows.manifest import manifest_from, named_problem

__all__ = ["MOST_ROWS", "Draft", "Problem", "Row"]

MOST_ROWS = 100
_MOST_PLACES = 2_000
_NUMBERS = ("int", "float", "seed")
_KEPT = ("capture", "keep_in_comfyui", "timeout")
_LIMITS = ("min", "max", "step")
_TEXTS = ("name", "label", "help", "default", *_LIMITS, "group")
_SWITCHES = ("keep", "asked", "advanced")
_LONGEST = 10_000


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong: with the row of this number, or (None) with the whole."""

    told: str
    row: int | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """A parameter as texts; left out unless it is to ``keep``. One that is ``asked`` for has no default."""

    name: str
    type: str
    bind: tuple[str, ...]
    keep: bool = True
    asked: bool = False
    advanced: bool = False
    label: str = ""
    help: str = ""
    default: str = ""
    min: str = ""
    max: str = ""
    step: str = ""
    group: str = ""
    choices: tuple[str, ...] = ()
    choices_from: str = ""

    @classmethod
    def of(cls, name: str, told: Parameter) -> Self:
        return cls(
            name,
            told.type,
            tuple(map(str, told.bind)),
            asked=told.required,
            advanced=told.advanced,
            label=told.label,
            help=told.help,
            default=_text(told.default),
            min=_text(told.min),
            max=_text(told.max),
            step=_text(told.step),
            group=told.group,
            choices=told.choices or (),
            choices_from=told.choices_from or "",
        )

    @property
    def is_number(self) -> bool:
        return self.type in _NUMBERS

    @property
    def is_picture(self) -> bool:
        return self.type in ("image", "mask")

    @property
    def nodes(self) -> list[str]:
        """The nodes that it sets something in."""
        return list(dict.fromkeys(text.partition("#")[2].partition(".")[0] for text in self.bind))

    def changed(self, fields: Mapping[str, str], place: int) -> Row:
        """As a form has it, whose fields end in the place of the row; as it is when the form does not know it."""
        if f"name_{place}" not in fields:
            return self
        told: dict[str, Any] = {key: f"{key}_{place}" in fields for key in _SWITCHES}
        told |= {key: fields[f"{key}_{place}"][:_LONGEST] for key in _TEXTS if f"{key}_{place}" in fields}
        return replace(self, **told)

    def parameter(self) -> Parameter:
        """What it says. Raises TemplateError."""
        told: dict[str, Any] = {"type": self.type, "bind": list(self.bind), "advanced": self.advanced}
        told |= {key: text for key in ("label", "help", "group") if (text := getattr(self, key).strip())}
        told |= {key: _number(key, text, self.type) for key in _LIMITS if (text := getattr(self, key).strip())}
        if not self.asked and not self.is_picture:
            told |= self._default()
        if self.type in ("enum", "model"):
            told |= {"choices_from": self.choices_from} if self.choices_from else {"choices": list(self.choices)}
        try:
            return Parameter.model_validate(told)
        except ValidationError as failure:
            raise TemplateError(f"{named_problem(failure, Parameter)}.") from None

    def _default(self) -> dict[str, Any]:
        text = self.default.strip() if self.type != "text" else self.default.replace("\r\n", "\n")
        if self.type == "bool":
            return {"default": text == "true"}
        if self.is_number:
            return {"default": _number("default", text, self.type)} if text else {}
        return {"default": text} if text or self.type == "text" else {}


@dataclass(frozen=True, slots=True)
class Draft:
    """``of`` is the id of the template that is changed by it, empty for a new one; ``rest`` the keys of the manifest
    that no form shows. ``trial`` is what was typed to try it, ``job`` the last try."""

    id: str
    name: str
    title: str
    description: str
    graph: Graph
    rows: tuple[Row, ...]
    of: str = ""
    warnings: tuple[str, ...] = ()
    rest: Mapping[str, Any] = field(default_factory=dict[str, Any])
    trial: Mapping[str, str] = field(default_factory=dict[str, str])
    job: str = ""

    @classmethod
    def begun(cls, draft: str, name: str, manifest: Manifest, graph: Graph, **more: Any) -> Self:
        """A draft of what was imported, or of what is there."""
        rows = tuple(Row.of(*each) for each in manifest.parameters.items())
        rest = manifest.model_dump(include=set(_KEPT), exclude_defaults=True)
        return cls(draft, name, manifest.title, manifest.description, graph, rows, rest=rest, **more)

    @staticmethod
    def read(record: Mapping[str, Any]) -> Draft:
        """What `record` wrote."""
        return _DRAFT.validate_python(record)

    @property
    def since(self) -> datetime:
        """When it was begun, which its id begins with."""
        return datetime.fromtimestamp(int(self.id[:13]) / 1000, UTC)

    def record(self) -> dict[str, Any]:
        return {**asdict(self), "rest": dict(self.rest), "trial": dict(self.trial)}

    def changed(self, fields: Mapping[str, str]) -> Draft:
        """With what was typed into the form; a field that is not there stays."""
        texts: dict[str, Any] = {
            key: fields[key][:_LONGEST].strip() for key in ("name", "title", "description") if key in fields
        }
        if "description" in texts:
            texts["description"] = texts["description"].replace("\r\n", "\n")
        rows = tuple(row.changed(fields, place) for place, row in enumerate(self.rows))
        tried = {key.removeprefix("try_"): text[:_LONGEST] for key, text in fields.items() if key.startswith("try_")}
        return replace(replace(self, **texts), rows=rows, trial={**self.trial, **tried})

    def moved_up(self, place: int) -> Draft:
        """With this row before the one before it."""
        if not 0 < place < len(self.rows):
            return self
        rows = list(self.rows)
        rows[place - 1 : place + 1] = reversed(rows[place - 1 : place + 1])
        return replace(self, rows=tuple(rows))

    def free_places(self) -> list[Bind]:
        """The values of the graph that no row sets, as far as a manifest can name them and a list can show them."""
        taken = {text for row in self.rows for text in row.bind}
        places = (
            _bind(content["class_type"], node, name)
            for node, content in self.graph.items()
            for name, value in content["inputs"].items()
            if isinstance(value, str | int | float)
        )
        free = (bind for bind in places if bind is not None and str(bind) not in taken)
        return list(islice(free, _MOST_PLACES))

    def looked_over(self) -> tuple[Template | None, list[Problem]]:
        """The template that it is, or what keeps it from being one."""
        parameters: dict[str, Parameter] = {}
        problems: list[Problem] = []
        for place, row in self._kept():
            try:
                told = row.parameter()
                manifest_from({"title": "-", "description": "-", "parameters": {row.name: told}})
            except TemplateError as failure:
                problems.append(Problem(_plainly(failure), place))
                continue
            if row.name in parameters:
                problems.append(Problem(f"There are two parameters of the name {row.name}.", place))
            parameters[row.name] = told
        if problems:
            return None, problems
        try:
            check_id(self.name)
            return self._template(parameters), []
        except TemplateError as failure:
            return None, [Problem(_plainly(failure), self._row_of(failure))]

    def _template(self, parameters: Mapping[str, Parameter]) -> Template:
        told = {"title": self.title, "description": self.description, **self.rest, "parameters": parameters}
        return template_of(self.name, manifest_from(told), self.graph, Path(self.name))

    def _kept(self) -> Iterable[tuple[int, Row]]:
        return ((place, row) for place, row in enumerate(self.rows) if row.keep)

    def _row_of(self, failure: TemplateError) -> int | None:
        named = failure.details.get("parameter")
        return next((place for place, row in self._kept() if row.name == named), None)


_DRAFT = TypeAdapter(Draft)


def _bind(kind: str, node: str, name: str) -> Bind | None:
    try:
        return Bind(class_type=kind, node=node, input=name)
    except ValidationError:
        return None


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _number(key: str, text: str, kind: str) -> int | float:
    try:
        return float(text) if kind == "float" else int(text)
    except ValueError:
        hint = "Write a number, such as 0.5." if kind == "float" else "Write a whole number, such as 20."
        raise TemplateError(
            f"{key}: {text[:40]!r} is not a {'' if kind == 'float' else 'whole '}number.", hint=hint
        ) from None


def _plainly(failure: TemplateError) -> str:
    """Without the name of the file, which is not written yet."""
    hint = "" if ".toml" in failure.hint or ".md" in failure.hint else failure.hint
    return f"{failure.message.removeprefix('manifest.toml, ')} {hint}".strip()
