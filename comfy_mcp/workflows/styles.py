"""Style presets: a way of painting, put around any prompt. They are data, in `styles.toml`.

Owns their file and how they change a prompt. A person's own styles stand beside the shipped ones, or replace them.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator

from comfy_mcp.errors import TemplateError

__all__ = ["Style", "load_styles"]

_ID = re.compile(r"[a-z][a-z0-9_]{0,31}")


class Style(BaseModel):
    """``prompt`` holds `{prompt}` once; ``overrides`` are defaults of parameters while the style is on."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    title: str = Field(min_length=1, max_length=60)
    prompt: str = Field(max_length=2000)
    negative: str = Field("", max_length=2000)
    overrides: dict[str, bool | int | float | str] = Field(default_factory=dict[str, "bool | int | float | str"])

    @field_validator("prompt")
    @classmethod
    def _has_a_place(cls, value: str) -> str:
        if value.count("{prompt}") != 1:
            raise ValueError("must hold {prompt} exactly once")
        return value

    def around(self, prompt: str) -> str:
        return self.prompt.replace("{prompt}", prompt.strip().rstrip(".,"))

    def against(self, negative: str) -> str:
        return ", ".join(part for part in (negative.strip().rstrip(","), self.negative) if part)


_STYLES = TypeAdapter(dict[str, Style])


def load_styles(path: Path) -> dict[str, Style]:
    """The styles of one file; none when there is no file.

    Raises:
        TemplateError: the file is there and cannot be used; the message names the style and key.
    """
    if not path.is_file():
        return {}
    try:
        styles = _STYLES.validate_python(tomllib.loads(path.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as failure:
        raise TemplateError(f"styles.toml cannot be read: {failure}.", hint="Mend the line it names.") from None
    except ValidationError as failure:
        first = failure.errors(include_input=False, include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise TemplateError(f"styles.toml, {key}: {first['msg']}.", hint="docs/templates.md shows a style.") from None
    for name in styles:
        if not _ID.fullmatch(name):
            raise TemplateError(f"styles.toml: {name!r} is no style id.", hint="Use a-z, 0-9 and underscores.")
    return styles
