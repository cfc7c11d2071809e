"""Names of files as values: whether one could lead a node out of the folder it reads or writes.

Owns the tests on the text alone; nothing here touches a disk. Used where a value is no free text.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

__all__ = ["MOST_NAME", "is_plain_name", "takes_file_name", "without_annotation"]

MOST_NAME = 400
_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:|[A-Za-z][A-Za-z0-9+.-]*://|~")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_ANNOTATION = re.compile(r"\[(input|output|temp)\]", re.IGNORECASE)
_SEPARATORS = re.compile(r"[/\\]")
_FILE_WORDS = frozenset({"audio", "dir", "directory", "file", "filename", "folder", "image", "path", "prefix", "video"})
_TEXT_WORDS = frozenset({"caption", "description", "prompt", "text"})


def is_plain_name(value: str) -> bool:
    """Whether a text names something inside a folder: relative, without `..`, drives, addresses, control characters
    or ComfyUI's `[output]`; also not once percent signs or full-width forms are resolved."""
    if len(value) > MOST_NAME:
        return False
    seen = value
    for _ in range(3):
        if not _plain(seen):
            return False
        seen = unicodedata.normalize("NFKC", unquote(seen))
    return _plain(seen)


def _plain(value: str) -> bool:
    if _CONTROL.search(value) or _ABSOLUTE.match(value.lstrip()) or _ANNOTATION.search(value):
        return False
    return not any(part.strip().startswith("..") for part in _SEPARATORS.split(value))


def without_annotation(value: str) -> str:
    """The name without ComfyUI's word for one of its folders at the end, as in `"x.png [output]"`."""
    name, separator, last = value.rpartition(" ")
    return name if separator and _ANNOTATION.fullmatch(last) else value


def takes_file_name(input_name: str) -> bool:
    """Whether an input of this name is a file or folder by the customs of node authors, and no free text."""
    words = set(re.split(r"[^a-z]+", input_name.lower()))
    return bool(words & _FILE_WORDS) and not words & _TEXT_WORDS
