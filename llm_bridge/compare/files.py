"""Prompts as people write them: text, JSON lines, CSV or TOML.

Owns these forms. Blocks while it reads: a server calls it in a thread. Images are read only from the folder of the file
and below it. For the command line and the nodes; how variants are written is in `grids`.
"""

from __future__ import annotations

import csv
import io
import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, cast

from llm_bridge.compare.matrix import Prompt
from llm_bridge.errors import BadInput
from llm_bridge.messages import Image

__all__ = ["FORMS", "prompts_of", "read_prompts"]

MOST_BYTES = 20 * 1024 * 1024
"""Of the file and of each image."""

_FIELDS = ("name", "prompt", "system", "images", "expected")


def read_prompts(path: Path) -> tuple[Prompt, ...]:
    """By the ending of the file:

    txt    a prompt in each line; or blocks of lines, when a line `---` stands between them
    jsonl  in each line {"prompt", and optionally "name", "system", "images": [paths], "expected"}
    csv    with these columns in its first line, images separated by ;
    toml   with these keys, each prompt under [[prompt]]

    A prompt without a name is called by its number. Raises: BadInput, with the line and the reason.
    """
    form = path.suffix.lower().removeprefix(".")
    if form not in FORMS:
        endings = ", ".join(f".{form}" for form in FORMS)
        raise BadInput(f"{path.name} is no file of prompts.", hint=f"It should end with {endings}.")
    return _prompts(_text(path), form, path.name, path.parent)


def prompts_of(text: str, form: str = "txt") -> tuple[Prompt, ...]:
    """As `read_prompts`, of a text that is in no file: ``form`` is one of `FORMS`. Such a text can name no images.

    Raises: BadInput, with the line and the reason.
    """
    return _prompts(text.replace("\r\n", "\n").replace("\r", "\n"), form, "The text", None)


def _prompts(text: str, form: str, name: str, folder: Path | None) -> tuple[Prompt, ...]:
    prompts = [_prompt(item, number, folder) for number, item in enumerate(_READERS[form](text, name), 1)]
    if not prompts:
        raise BadInput(f"{name} holds no prompt.", hint="Write at least one.")
    places: dict[str, _Item] = {}
    for prompt, item in prompts:
        if prompt.name in places:
            item.refuse(f"the name {prompt.name!r} is taken by {places[prompt.name].place}")
        places[prompt.name] = item
    return tuple(prompt for prompt, _ in prompts)


@dataclass(frozen=True, slots=True)
class _Item:
    """A prompt as it stands in the file, and where."""

    file: str
    place: str
    values: Mapping[str, Any]

    def refuse(self, reason: str) -> NoReturn:
        raise BadInput(f"{self.file}, {self.place}: {reason}.", hint="Mend it there.")

    def text(self, name: str) -> str:
        value = self.values.get(name)
        if value is not None and not isinstance(value, str):
            self.refuse(f"{name} is no text")
        return value or ""


def _text(path: Path) -> str:
    try:
        return _bytes(path).decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except OSError as error:
        reason = error.strerror or "the disk does not say why"
        raise BadInput(f"{path.name} cannot be read: {reason}.", hint="Give another file.") from None
    except _TooLarge:
        raise BadInput(f"{path.name} is larger than {MOST_BYTES} bytes.", hint="Split it.") from None
    except UnicodeDecodeError:
        raise BadInput(f"{path.name} is no UTF-8 text.", hint="Save it as UTF-8.") from None


class _TooLarge(Exception):
    pass


def _bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise _TooLarge
    return content


def _plain(text: str, file: str) -> Iterator[_Item]:
    lines = text.split("\n")
    ends = [number for number, line in enumerate(lines) if line.strip() == "---"]
    if not ends:
        blocks = [(number, line) for number, line in enumerate(lines, 1)]
    else:
        starts, ends = [0, *(end + 1 for end in ends)], [*ends, len(lines)]
        blocks = [(start + 1, "\n".join(lines[start:end])) for start, end in zip(starts, ends, strict=True)]
    for number, block in blocks:
        if block.strip():
            yield _Item(file, f"line {number}", {"prompt": block})


def _json_lines(text: str, file: str) -> Iterator[_Item]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            item = _Item(file, f"line {number}", {})
            try:
                values: Any = json.loads(line)
            except (ValueError, RecursionError):
                item.refuse("that is no JSON")
            if not isinstance(values, dict):
                item.refuse("that is no JSON object")
            yield replace(item, values=cast("dict[str, Any]", values))


def _csv(text: str, file: str) -> Iterator[_Item]:
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] | None = None
    last = 0
    while True:
        item = _Item(file, f"line {last + 1}", {})
        try:
            row = next(rows, None)
        except csv.Error as error:
            item.refuse(f"that is no CSV: {error}")
        last = rows.line_num
        if row is None:
            return
        if header is None:
            header = [name.strip() for name in row]
            if len({*header}) < len(header):
                item.refuse("two columns have the same name")
        elif any(cell.strip() for cell in row):
            if len(row) > len(header):
                item.refuse("there are more cells than columns")
            values: dict[str, Any] = dict(zip(header, row, strict=False))
            images = [path.strip() for path in values.get("images", "").split(";") if path.strip()]
            yield replace(item, values=values | {"images": images})


def _toml(text: str, file: str) -> Iterator[_Item]:
    try:
        tables: Any = tomllib.loads(text).get("prompt", [])
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadInput(f"{file} is no TOML: {error}.", hint="Mend it there.") from None
    if not isinstance(tables, list):
        raise BadInput(f"{file} has no list of prompts.", hint="Write each under [[prompt]].")
    for number, values in enumerate(cast("list[Any]", tables), 1):
        item = _Item(file, f"prompt {number}", {})
        if not isinstance(values, dict):
            item.refuse("that is no table")
        yield replace(item, values=cast("dict[str, Any]", values))


_READERS: Mapping[str, Callable[[str, str], Iterator[_Item]]] = {
    "txt": _plain,
    "jsonl": _json_lines,
    "csv": _csv,
    "toml": _toml,
}
FORMS = tuple(_READERS)


def _prompt(item: _Item, number: int, folder: Path | None) -> tuple[Prompt, _Item]:
    if unknown := [name for name in item.values if name not in _FIELDS]:
        item.refuse(f"{unknown[0]!r} is none of {', '.join(_FIELDS)}")
    text = item.text("prompt").strip()
    if not text:
        item.refuse("there is no prompt")
    name = item.text("name").strip() or f"prompt {number}"
    images: Any = item.values.get("images") or []
    if not isinstance(images, list):
        item.refuse("images is no list of paths")
    pictures = tuple(_image(item, image, folder) for image in cast("list[object]", images))
    return Prompt(name, text, item.text("system"), pictures, item.text("expected")), item


def _image(item: _Item, name: object, folder: Path | None) -> Image:
    if folder is None:
        item.refuse("images can only be named in a file")
    if not isinstance(name, str) or not name or "\0" in name:
        item.refuse("images is no list of paths")
    root = folder.resolve()
    try:
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            item.refuse("an image is outside the folder of the file")
        data = _bytes(path)
    except (OSError, RuntimeError):
        item.refuse(f"the image {Path(name).name!r} cannot be read")
    except _TooLarge:
        item.refuse(f"the image {Path(name).name!r} is larger than {MOST_BYTES} bytes")
    try:
        return Image.of(data)
    except BadInput:
        item.refuse(f"{Path(name).name!r} is no PNG, JPEG, WebP or GIF")
