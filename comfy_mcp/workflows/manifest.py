"""The manifest of a template: what it is called, and which parameter goes to which input of which node.

Owns the file format `manifest.toml`, not the graph beside it. Unknown keys are refused, so that a misspelt one is
noticed.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

import tomli_w
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    ValidationError,
    model_validator,
)

from comfy_mcp.errors import TemplateError

__all__ = ["RESERVED", "Bind", "Manifest", "Parameter", "ParameterType", "read_manifest", "write_manifest"]

ParameterType = Literal["text", "int", "float", "bool", "enum", "seed", "image", "mask", "model"]

RESERVED = frozenset({"style"})
"""Names that a parameter cannot have."""

_BIND = re.compile(r"(?P<class_type>.+)#(?P<node>[^#]+)\.(?P<input>[^.#]+)")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_MOST_BYTES = 1 << 20


class Bind(BaseModel):
    """One place that receives a value, written `"Class#node id.input"`. The class is there so that a graph that was
    exported again with other numbers fails when it is loaded, not when it paints."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    class_type: str
    node: str
    input: str

    @classmethod
    def parse(cls, text: object) -> object:
        if not isinstance(text, str):
            return text
        found = _BIND.fullmatch(text)
        if found is None:
            raise ValueError(f'{text!r} is not "Class#node.input"')
        return cls(**found.groupdict())

    def __str__(self) -> str:
        return f"{self.class_type}#{self.node}.{self.input}"


def _one_or_more(value: object) -> object:
    return cast(object, value) if isinstance(value, list | tuple) else [value]


Place = Annotated[Bind, BeforeValidator(Bind.parse)]
Places = Annotated[tuple[Place, ...], BeforeValidator(_one_or_more), Field(min_length=1)]
Number = StrictInt | StrictFloat
Scalar = StrictBool | StrictInt | StrictFloat | StrictStr


class Parameter(BaseModel):
    """One parameter of a template. Without a default it is required, but for models, live choices and seeds."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    type: ParameterType
    bind: Places
    label: str = Field("", max_length=80)
    help: str = Field("", max_length=500)
    default: Scalar | None = None
    min: Number | None = None
    max: Number | None = None
    step: Annotated[Number, Field(gt=0)] | None = None
    choices: tuple[str, ...] | None = None
    choices_from: str | None = Field(None, pattern=r"^.+\.[^.]+$")
    group: str = Field("", max_length=40)
    advanced: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        ranged = self.min is not None or self.max is not None or self.step is not None
        if ranged and self.type not in ("int", "float", "seed"):
            raise ValueError(f"min, max and step mean nothing for type {self.type}")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min is larger than max")
        if (self.choices or self.choices_from) and self.type not in ("enum", "model"):
            raise ValueError(f"choices mean nothing for type {self.type}")
        if self.type in ("enum", "model") and not (self.choices or self.choices_from):
            raise ValueError(f"type {self.type} needs choices or choices_from")
        return self

    @property
    def required(self) -> bool:
        """Whether a caller must give it. A seed is drawn; a model or live choice falls to the first one offered."""
        return self.default is None and self.type != "seed" and self.choices_from is None


class Manifest(BaseModel):
    """A whole `manifest.toml`. The order of the parameters is that of the form."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    title: str = Field(min_length=1, max_length=80)
    description: str = Field(min_length=1, max_length=1000)
    capture: Literal["preview", "websocket"] = "preview"
    keep_in_comfyui: bool = False
    timeout: Annotated[float, Field(gt=0)] | None = None
    parameters: dict[str, Parameter] = Field(default_factory=dict[str, Parameter])

    @model_validator(mode="after")
    def _names(self) -> Self:
        for name in self.parameters:
            if not _NAME.fullmatch(name):
                raise ValueError(f"the parameter name {name!r} is not lower-case letters, digits and underscores")
            if name in RESERVED:
                raise ValueError(f"the parameter name {name!r} is reserved")
        return self


def read_manifest(path: Path) -> Manifest:
    """Read `manifest.toml`.

    Raises:
        TemplateError: it is missing, too large, not TOML or not a manifest; the message names the key.
    """
    try:
        data = path.read_bytes()
    except OSError:
        raise TemplateError("manifest.toml cannot be read.", hint="comfy-workbench import FILE writes one.") from None
    if len(data) > _MOST_BYTES:
        raise TemplateError("manifest.toml is larger than 1 MiB.", hint="Keep the graph in workflow.json.")
    try:
        told = tomllib.loads(data.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as failure:
        raise TemplateError(f"manifest.toml is not TOML: {failure}.", hint="Mend the line it names.") from None
    return manifest_from(told)


def manifest_from(told: Mapping[str, Any]) -> Manifest:
    """The manifest that a TOML table holds. Raises TemplateError."""
    try:
        return Manifest.model_validate(told)
    except ValidationError as failure:
        first = failure.errors(include_input=False, include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"]) or "manifest.toml"
        raise TemplateError(
            f"manifest.toml, {key}: {first['msg']}.", hint="docs/templates.md describes every key."
        ) from None


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
