"""Reads the setting that says where pictures are kept.

Owns its syntax and makes the sink; nothing is opened or connected here. Used by workbench.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from comfy_mcp.assets.folder import FolderSink
from comfy_mcp.assets.memory import MemorySink
from comfy_mcp.assets.s3 import S3Sink
from comfy_mcp.assets.sink import Sink, check_key
from comfy_mcp.errors import NotFound, SettingsError

__all__ = ["sink_from_url"]

_HINT = "Write `folder`, `folder:/a/path`, `memory`, `memory:3600` or `s3://bucket/prefix?endpoint=…&region=…`."
_LONGEST_SECONDS = 10 * 365 * 24 * 3600
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]")
_S3_OPTIONS = frozenset(("endpoint", "region"))


def sink_from_url(location: str, data_folder: Path) -> Sink:
    """The place that ``location`` names; `folder` alone is ``assets`` in the data folder.

    Raises:
        SettingsError: it names no place, or one that cannot work.
    """
    kind, colon, rest = location.strip().partition(":")
    if colon and not rest:
        raise SettingsError("The setting `assets` says no more after the colon.", hint=_HINT)
    match kind:
        case "folder":
            return FolderSink(_folder(rest) if rest else data_folder / "assets")
        case "memory":
            return MemorySink(ttl_seconds=_seconds(rest)) if rest else MemorySink()
        case "s3":
            return _bucket(location.strip())
        case _:
            raise SettingsError("The setting `assets` names no kind of storage.", hint=_HINT)


def _folder(text: str) -> Path:
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        path = Path(text)
    if not path.is_absolute() or "\0" in text:
        raise SettingsError("The folder in the setting `assets` is no full path.", hint="Write `folder:/a/full/path`.")
    return path


def _seconds(text: str) -> float:
    if not (text.isascii() and text.isdecimal() and 0 < int(text[:12]) <= _LONGEST_SECONDS):
        raise SettingsError(
            "The time in the setting `assets` is no number of seconds.", hint="Write it like `memory:3600`."
        )
    return float(text)


def _bucket(location: str) -> S3Sink:
    try:
        parts = urlsplit(location)
        options = parse_qs(parts.query, strict_parsing=bool(parts.query), max_num_fields=8)
        port = parts.port
    except ValueError:
        raise SettingsError("The bucket in the setting `assets` cannot be read.", hint=_HINT) from None
    prefix = unquote(parts.path).strip("/")
    if port is not None or parts.fragment or not _BUCKET.fullmatch(parts.netloc):
        # The address is not shown: somebody may have written keys into it.
        raise SettingsError(
            "The setting `assets` must name a bucket and nothing else before the path.",
            hint="Keys belong in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, the server in `?endpoint=`.",
        )
    if not options.keys() <= _S3_OPTIONS or any(len(values) > 1 for values in options.values()):
        raise SettingsError("The bucket in the setting `assets` takes `endpoint` and `region` only.", hint=_HINT)
    try:
        check_key(prefix or "none")
    except NotFound:
        raise SettingsError("The path in the bucket cannot be used.", hint=_HINT) from None
    endpoint, region = (options.get(name, [None])[0] for name in ("endpoint", "region"))
    return S3Sink(parts.netloc, prefix=prefix, endpoint=endpoint, region=region)
