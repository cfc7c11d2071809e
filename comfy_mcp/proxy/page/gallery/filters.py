"""Which pictures are asked for, as it stands in the address: read strictly, and written again for links.

Used by the pages of the gallery, so that going on, back and beside stays among the same pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Self
from urllib.parse import urlencode

from comfy_mcp.errors import InvalidParameter
from comfy_mcp.store import Sought
from comfy_mcp.ui import to_say

__all__ = ["KINDS", "SOURCES", "Filters"]

KINDS = {"image": to_say("Pictures"), "video": to_say("Videos"), "audio": to_say("Sound")}
SOURCES = {
    "": to_say("Made here"),
    "upload": to_say("Uploads and contact sheets"),
    "cell": to_say("Cells of comparisons"),
    "all": to_say("Everything"),
}
_SOUGHT = {"": "made", "all": ""}
_LONGEST = 300


@dataclass(frozen=True, slots=True)
class Filters:
    """Each as it is called in the address; ``since`` and ``until`` are days, both included."""

    q: str = ""
    template: str = ""
    model: str = ""
    style: str = ""
    kind: str = ""
    show: str = ""
    kept: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, told: Mapping[str, str]) -> Self:
        """What an address asks for. Raises InvalidParameter for what means nothing."""
        filters = cls(**{name: told.get(name, "").strip() for name in cls.__slots__})
        for name, value in asdict(filters).items():
            if len(value) > _LONGEST:
                raise InvalidParameter(name, f"{name} is too long.", hint=f"Give at most {_LONGEST} letters.")
        for name, value, known in (("kind", filters.kind, {"", *KINDS}), ("show", filters.show, {*SOURCES})):
            if value not in known:
                raise InvalidParameter(
                    name, f"{name} names nothing.", hint=f"Known: {', '.join(sorted(known - {''}))}."
                )
        for name, value in (("since", filters.since), ("until", filters.until)):
            _day(name, value)
        return filters

    @property
    def sought(self) -> Sought:
        since, until = _day("since", self.since), _day("until", self.until)
        return Sought(
            text=self.q,
            template=self.template,
            model=self.model,
            style=self.style,
            kind=self.kind,
            source=_SOUGHT.get(self.show, self.show),
            kept=bool(self.kept),
            since=None if since is None else since.timestamp(),
            until=None if until is None else (until + timedelta(days=1)).timestamp(),
        )

    @property
    def narrow(self) -> int:
        """How many of them leave something out, beside the words."""
        return sum(bool(value) for value in asdict(replace(self, q="")).values())

    def query(self, **more: str) -> str:
        """For the end of an address: with a question mark, or nothing at all."""
        told = {name: value for name, value in (asdict(self) | more).items() if value}
        return f"?{urlencode(told)}" if told else ""


def _day(name: str, text: str) -> datetime | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
        if not date(1970, 1, 1) <= day <= date(2999, 12, 31):
            raise ValueError
    except ValueError:
        raise InvalidParameter(name, f"{name} is no day.", hint="Write it like 2026-11-30.") from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
