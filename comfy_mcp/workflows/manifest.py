"""The manifest of a template: what it is called, and which parameter goes to which input of which node.

Owns the file format `manifest.toml`, not the graph beside it. Unknown keys are refused, so that a misspelt one is
noticed. Used in this package, and by the importer to write new ones.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

import tomli_w
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator, model_validator

from comfy_mcp.errors import TemplateError, nearest
from comfy_mcp.workflows.graph import LEAST_INTEGER, MOST_INTEGER
from comfy_mcp.workflows.reading import read_file

__all__ = [
    "RESERVED",
    "Bind",
    "Manifest",
    "Parameter",
    "ParameterType",
    "Scalar",
    "manifest_from",
    "named_problem",
    "read_manifest",
    "write_manifest",
]

ParameterType = Literal["text", "int", "float", "bool", "enum", "seed", "image", "mask", "model"]

RESERVED = frozenset({"idempotency_key", "prefix", "preset", "style", "suffix"})
"""Names that a parameter cannot have."""

_BIND = re.compile(r"(?P<class_type>[^\x00-\x1f\x7f]+)#(?P<node>[^#.\x00-\x1f\x7f]+)\.(?P<input>[^#\x00-\x1f\x7f]+)")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_MOST_BYTES = 1 << 20


def _scalar(value: object) -> object:
    if not isinstance(value, str | bool | int | float):
        raise ValueError("must be a text, a number, true or false")
    return value if isinstance(value, str | bool) else _number(value)


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")
    if not math.isfinite(value) if isinstance(value, float) else not LEAST_INTEGER <= value <= MOST_INTEGER:
        raise ValueError("must be a finite number of at most 64 bits")
    return value


def _as_tuple(value: object) -> object:
    return tuple(cast(list[Any], value)) if isinstance(value, list) else value


def _one_or_more(value: object) -> object:
    return _as_tuple(cast(object, value)) if isinstance(value, list | tuple) else (value,)


class _Told(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Bind(_Told):
    """One place that receives a value, written `"Class#node id.input"`. The class is there so that a graph that was
    exported again with other numbers fails when it is loaded, not when it paints."""

    class_type: str
    node: str
    input: str

    @model_validator(mode="after")
    def _can_be_written(self) -> Self:
        found = _BIND.fullmatch(str(self))
        if found is None or tuple(found.groups()) != (self.class_type, self.node, self.input):
            raise ValueError(f'{str(self)!r} is not "Class#node.input"')
        return self

    @classmethod
    def parse(cls, text: object) -> object:
        """A bind from its text; anything but a text as it is, for pydantic to judge."""
        if not isinstance(text, str):
            return text
        found = _BIND.fullmatch(text)
        if found is None:
            raise ValueError(f'{text[:100]!r} is not "Class#node.input", such as "KSampler#3.steps"')
        return cls(**found.groupdict())

    def __str__(self) -> str:
        return f"{self.class_type}#{self.node}.{self.input}"


Line = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$")]
Prose = Annotated[str, Field(pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")]
Number = Annotated[int | float, BeforeValidator(_number)]
Scalar = Annotated[bool | int | float | str, BeforeValidator(_scalar)]
Place = Annotated[Bind, BeforeValidator(Bind.parse)]
Places = Annotated[tuple[Place, ...], BeforeValidator(_one_or_more), Field(min_length=1)]
Choices = Annotated[tuple[Annotated[Line, Field(min_length=1)], ...], BeforeValidator(_as_tuple), Field(min_length=1)]


class Parameter(_Told):
    """One parameter of a template. Without a default it is required, but for models, live choices and seeds.

    A picture or a mask is always required and has no default: a file that lies in one ComfyUI's input folder is in no
    other's. The default of a model may be the start of a word in its name (`"t5"`): the first one offered is taken.
    """

    type: ParameterType
    bind: Places
    label: Line = Field(default="", max_length=80)
    help: Prose = Field(default="", max_length=500)
    default: Scalar | None = None
    min: Number | None = None
    max: Number | None = None
    step: Annotated[Number, Field(gt=0)] | None = None
    choices: Choices | None = None
    choices_from: str | None = Field(default=None, pattern=r"^[^\x00-\x1f\x7f]+\.[^\x00-\x1f\x7f.]+$")
    group: Line = Field(default="", max_length=40)
    advanced: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for problem in (self._problem_of_range(), self._problem_of_choices()):
            if problem:
                raise ValueError(problem)
        if self.default is not None and self.type in ("image", "mask"):
            raise ValueError(f"a parameter of type {self.type} cannot have a default")
        if len(set(self.bind)) != len(self.bind):
            raise ValueError("bind names one place twice")
        return self

    def _problem_of_range(self) -> str:
        given = [limit for limit in (self.min, self.max, self.step) if limit is not None]
        if given and self.type not in ("int", "float", "seed"):
            return f"min, max and step mean nothing for type {self.type}"
        if self.type in ("int", "seed") and not all(isinstance(limit, int) for limit in given):
            return f"min, max and step of type {self.type} are whole numbers"
        if self.type == "seed" and (self.step is not None or any(limit < 0 for limit in given)):
            return "a seed has no step and is never negative"
        if self.min is not None and self.max is not None and self.min > self.max:
            return "min is larger than max"
        return ""

    def _problem_of_choices(self) -> str:
        if self.type not in ("enum", "model"):
            return f"choices mean nothing for type {self.type}" if self.choices or self.choices_from else ""
        if (self.choices is None) == (self.choices_from is None):
            return f"type {self.type} needs either choices or choices_from"
        return "choices names one twice" if len(set(self.choices or ())) != len(self.choices or ()) else ""

    @property
    def required(self) -> bool:
        """Whether a caller must give it. A seed is drawn; a model or live choice falls to the first one offered."""
        return self.default is None and self.type != "seed" and self.choices_from is None


class Manifest(_Told):
    """A whole `manifest.toml`. The order of the parameters is that of the form. ``timeout`` is in seconds."""

    title: Line = Field(min_length=1, max_length=80)
    description: Prose = Field(min_length=1, max_length=1000)
    capture: Literal["preview", "websocket"] = "preview"
    keep_in_comfyui: bool = False
    timeout: Annotated[Number, Field(gt=0, le=604_800)] | None = None
    parameters: dict[str, Parameter] = Field(default_factory=dict[str, Parameter])

    @field_validator("parameters", mode="after")
    @classmethod
    def _names_and_places(cls, parameters: dict[str, Parameter]) -> dict[str, Parameter]:
        taken: dict[tuple[str, str], str] = {}
        for name, parameter in parameters.items():
            if not _NAME.fullmatch(name):
                raise ValueError(f"the name {name[:64]!r} is not up to 32 lower-case letters, digits and underscores")
            if name in RESERVED:
                raise ValueError(f"the name {name!r} is reserved")
            for place in parameter.bind:
                other = taken.setdefault((place.node, place.input), name)
                if other != name:
                    raise ValueError(f"{other} and {name} are both bound to {place}")
        return parameters


def read_manifest(path: Path) -> Manifest:
    """Read `manifest.toml`.

    Raises:
        TemplateError: it is missing, too large, not TOML or not a manifest; the message names the key.
    """
    data = read_file(path, _MOST_BYTES)
    if data is None:
        raise TemplateError(f"There is no {path.name}.", hint="comfy-workbench import FILE writes a template.")
    try:
        told = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as failure:
        reason = "it is nested too deeply" if isinstance(failure, RecursionError) else str(failure)
        raise TemplateError(f"{path.name} is not TOML: {reason}.", hint="Mend the line it names.") from None
    return manifest_from(told)


def manifest_from(told: Mapping[str, Any]) -> Manifest:
    """The manifest that a TOML table holds. Raises TemplateError."""
    try:
        return Manifest.model_validate(dict(told))
    except ValidationError as failure:
        raise TemplateError(
            f"manifest.toml, {named_problem(failure, Manifest, Parameter)}.",
            hint="docs/templates.md describes every key.",
        ) from None


def named_problem(failure: ValidationError, *models: type[BaseModel]) -> str:
    """The first problem as "key: what is wrong"; ``models`` are asked for the key that may have been meant."""
    first = failure.errors(include_input=False, include_url=False)[0]
    parts = [str(part)[:64] for part in first["loc"]]
    told = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        # The first model is the table itself, the last one an entry of it.
        alike = nearest(parts[-1], (models[0] if len(parts) == 1 else models[-1]).model_fields)
        told = "there is no such key" + (f"; nearest: {', '.join(alike)}" if alike else "")
    elif first["type"] == "missing":
        told = "is missing"
    return f"{'.'.join(parts) or 'the file'}: {told}"


def write_manifest(manifest: Manifest) -> str:
    """The TOML text that `read_manifest` turns back into the same manifest."""
    told = manifest.model_dump(exclude={"parameters"}, exclude_defaults=True)
    parameters: dict[str, dict[str, Any]] = {}
    for name, parameter in manifest.parameters.items():
        binds = [str(bind) for bind in parameter.bind]
        table: dict[str, Any] = {"type": parameter.type, "bind": binds[0] if len(binds) == 1 else binds}
        table |= parameter.model_dump(exclude={"type", "bind"}, exclude_defaults=True, exclude_none=True)
        parameters[name] = table
    return tomli_w.dumps({**told, "parameters": parameters})
