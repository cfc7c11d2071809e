"""What strangers write (models, their servers, folders of templates), as a terminal may be shown it.

Owns that nothing of it moves the cursor, sets a title, makes a line of its own, or is taken for markup. Every command
prints through it; what goes into a file stays as it is.
"""

from __future__ import annotations

import json
import re
from typing import Any

import click
from rich.text import Text

from llm_bridge.compare.reports.readable import visible

__all__ = ["as_json", "cell", "in_line", "say"]

# JSON itself escapes the first 32; a terminal acts on these as well, and lone surrogates are no characters.
_ACTING = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def say(text: object, *, err: bool = False, nl: bool = True, dim: bool = False) -> None:
    """Prints text of any number of lines, or with ``nl`` False a piece of one."""
    told = visible(str(text))
    click.echo(click.style(told, dim=True) if dim else told, err=err, nl=nl)


def in_line(text: object) -> str:
    """A name, or anything else that is one line."""
    return visible(str(text)).replace("\n", " ").replace("\t", " ")


def cell(text: object, style: str = "") -> Text:
    """For a table or a line of rich, which takes a bare text for markup. It may have several lines."""
    return Text(visible(str(text)), style)


def as_json(value: Any) -> str:
    """JSON with its letters as they are, except those that a terminal acts on."""
    told = json.dumps(value, ensure_ascii=False, indent=2)
    return _ACTING.sub(lambda found: f"\\u{ord(found[0]):04x}", told)
