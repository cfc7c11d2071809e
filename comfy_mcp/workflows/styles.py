"""Style presets: a way of painting, put around any prompt. They are data, in `styles.toml`.

Owns their file and how they change a prompt. A person's own styles stand beside the shipped ones, or replace them.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from comfy_mcp.errors import TemplateError
from comfy_mcp.workflows.manifest import Scalar, named_problem
from comfy_mcp.workflows.reading import read_file

__all__ = ["Around", "Style", "read_styles"]

_ID = re.compile(r"[a-z][a-z0-9_]{0,31}")
_PLACE = "{prompt}"
_FIXED = frozenset({"prompt", "negative", "style", "image", "mask", "seed"})
_MOST_BYTES = 1 << 20
_HINT = "docs/templates.md shows a style."

Words = Annotated[str, Field(max_length=2000, pattern=r"^[^\x00-\x1f\x7f]*$")]


@dataclass(frozen=True, slots=True)
class Around:
    """What a person wants around every prompt of a tool."""

    prefix: str = ""
    suffix: str = ""
    negative: str = ""

    def apply(self, prompt: str, negative: str) -> tuple[str, str]:
        """The prompt between both, and both negatives, the one of the call first."""
        around = " ".join(part for part in (self.prefix.strip(), prompt, self.suffix.strip()) if part)
        return around, ", ".join(part for part in (negative.strip().rstrip(","), self.negative.strip()) if part)

    def inside(self, outer: Around) -> Around:
        """Both as one, ``outer`` further from the prompt."""
        return Around(
            f"{outer.prefix} {self.prefix}".strip(),
            f"{self.suffix} {outer.suffix}".strip(),
            ", ".join(part for part in (self.negative, outer.negative) if part),
        )


class Style(BaseModel):
    """``prompt`` holds `{prompt}` once; ``overrides`` are defaults of parameters while the style is on."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    title: Words = Field(min_length=1, max_length=60)
    description: Words = Field(default="", max_length=200)
    prompt: Words
    negative: Words = ""
    overrides: dict[str, Scalar] = Field(default_factory=dict[str, Scalar])

    @field_validator("prompt")
    @classmethod
    def _has_a_place(cls, value: str) -> str:
        if value.count(_PLACE) != 1:
            raise ValueError(f"must hold {_PLACE} exactly once")
        return value

    @field_validator("overrides")
    @classmethod
    def _are_settings(cls, value: dict[str, Any]) -> dict[str, Any]:
        if wrong := sorted(_FIXED & value.keys()):
            raise ValueError(f"{wrong[0]} belongs to the person, not to a style")
        return value

    def apply(self, prompt: str, negative: str) -> tuple[str, str]:
        """The prompt inside the pattern, and both negatives, the person's first."""
        around = self.prompt.replace(_PLACE, prompt.strip().rstrip(".,;"))
        against = (part for part in (negative.strip().rstrip(","), self.negative) if part)
        return around, ", ".join(against)


def read_styles(path: Path) -> tuple[dict[str, Style], list[str]]:
    """The styles of one file, and what is wrong with those that cannot be used; nothing when there is no file.

    Raises:
        TemplateError: the file as a whole cannot be read.
    """
    data = read_file(path, _MOST_BYTES)
    try:
        told = tomllib.loads((data or b"").decode("utf-8"))
    except (ValueError, RecursionError) as failure:
        reason = "it is nested too deeply" if isinstance(failure, RecursionError) else str(failure)
        raise TemplateError(f"styles.toml is not TOML: {reason}.", hint="Mend the line it names.") from None
    styles: dict[str, Style] = {}
    problems: list[str] = []
    for name, table in told.items():
        if not _ID.fullmatch(name):
            problems.append(f"{name[:64]!r} is no style id. Use a-z, 0-9 and underscores, a letter first.")
            continue
        try:
            styles[name] = Style.model_validate(table)
        except ValidationError as failure:
            problems.append(f"{name}, {named_problem(failure, Style)}. {_HINT}")
    return styles, problems
