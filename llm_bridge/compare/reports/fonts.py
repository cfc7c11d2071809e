"""The fonts of this machine, in the order in which a picture asks them for a letter.

Looks at the known places of Linux, macOS and Windows, by the names of files, and no further than its bounds. Draws
nothing (`lettering`) and knows nothing of what is inside a font (`coverage`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from llm_bridge.compare.reports.coverage import Coverage, coverage

__all__ = ["Face", "Fonts", "find_fonts"]

_MOST_ENTRIES = 20_000
_MOST_DEPTH = 6
_MOST_OTHERS = 200
_ENDINGS = (".ttf", ".otf", ".ttc", ".otc")

# Names of files without what is no letter or digit; what comes first is asked first.
_TEXT = (
    *("segoeui", "sfns", "helveticaneue", "notosansregular", "notosans", "robotoregular", "liberationsansregular"),
    *("arial", "dejavusans", "freesans"),
)
_BOLD = (
    *("segoeuib", "notosansbold", "robotobold", "liberationsansbold", "arialbd", "arialbold", "dejavusansbold"),
    "freesansbold",
)
_CJK = (
    *("notosanscjkregular", "notosanscjkscregular", "notosanscjkjpregular", "notosansscregular", "notosansjpregular"),
    *("notosanskrregular", "sourcehansansregular", "sourcehansansscregular", "pingfang", "hiraginosansgb"),
    *("applesdgothicneo", "stheitilight", "msyh", "yugothm", "meiryo", "malgun", "simsun", "msgothic", "gulim"),
    *("wqymicrohei", "wqyzenhei", "droidsansfallbackfull", "droidsansfallback", "ipagothic", "ipag", "vlgothic"),
    *("nanumgothic", "undotum", "arialunicode", "arialuni"),
)
_SYMBOLS = ("seguisym", "applesymbols", "notosanssymbols2regular", "notosanssymbolsregular", "symbola")
_EMOJI = ("notocoloremoji", "applecoloremoji", "seguiemj", "twemojimozilla", "notoemojiregular")
_UNFIT = ("bold", "italic", "oblique", "light", "thin", "black", "heavy", "condensed", "mono", "serif", "lastresort")


@dataclass(frozen=True)
class Face:
    """One font: the ``index``-th of a file, or one that is in memory."""

    source: Path | bytes = field(repr=False)
    index: int = 0

    @cached_property
    def coverage(self) -> Coverage:
        return coverage(self.source, self.index)


@dataclass(frozen=True, slots=True)
class Fonts:
    """``text`` and ``bold`` are asked in their order, ``emoji`` first for emoji and last for everything else."""

    text: tuple[Face, ...] = ()
    bold: tuple[Face, ...] = ()
    emoji: tuple[Face, ...] = ()

    @classmethod
    def among(cls, files: Iterable[Path]) -> Fonts:
        """Out of these, the known ones in their order and then all others that look like upright text."""
        named: dict[str, Path] = {}
        for path in sorted(files, key=lambda path: (path.name, str(path))):
            named.setdefault(_name(path), path)
        known = _known(named, (*_TEXT, *_CJK, *_SYMBOLS))
        emoji = _known(named, _EMOJI)
        taken = {face.source for face in (*known, *emoji)}
        others = [
            Face(path)
            for name, path in named.items()
            if path not in taken and not any(unfit in name for unfit in _UNFIT)
        ]
        text = (*known, *others[:_MOST_OTHERS])
        return cls(text, (*_known(named, _BOLD), *text), emoji)


@cache
def find_fonts() -> Fonts:
    """Those of this machine; looked for once, since that reads folders."""
    return Fonts.among(path for folder in _folders(os.environ) for path in _files(folder))


def _known(named: Mapping[str, Path], names: Iterable[str]) -> tuple[Face, ...]:
    return tuple(Face(named[name]) for name in names if name in named)


def _name(path: Path) -> str:
    return re.sub("[^a-z0-9]", "", path.stem.lower())


def _folders(environment: Mapping[str, str]) -> Iterator[Path]:
    home = Path.home() if "HOME" in environment or "USERPROFILE" in environment else None
    if home is not None:
        yield from (home / ".fonts", home / ".local/share/fonts", home / "Library/Fonts")
    for folder in environment.get("XDG_DATA_DIRS", "/usr/local/share:/usr/share").split(":"):
        if folder.startswith("/"):
            yield Path(folder, "fonts")
    yield from map(Path, ("/run/current-system/sw/share/X11/fonts", "/System/Library/Fonts", "/Library/Fonts"))
    for variable, below in (("WINDIR", "Fonts"), ("LOCALAPPDATA", "Microsoft/Windows/Fonts")):
        if variable in environment:
            yield Path(environment[variable], below)


def _files(folder: Path) -> Iterator[Path]:
    seen = 0
    for place, folders, names in os.walk(folder):
        folders.sort()
        if len(Path(place).relative_to(folder).parts) >= _MOST_DEPTH:
            folders.clear()
        seen += len(names) + 1
        if seen > _MOST_ENTRIES:
            return
        yield from (Path(place, name) for name in names if name.lower().endswith(_ENDINGS))
