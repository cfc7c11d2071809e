"""What the guard goes by: plain values, so that it knows no settings."""

from __future__ import annotations

from dataclasses import dataclass, field

from comfy_mcp.callers import Principal

__all__ = ["Rules", "patience"]

_EARLIER, _LITTLE = 1.0, 0.1
_FEW_OPEN = 32


@dataclass(frozen=True, slots=True)
class Rules:
    """``hosts`` and ``origins`` are accepted besides loopback and the page's own origin; sizes are bytes.

    ``owner`` is who has ``token``, and everybody while no token is demanded. One is demanded when ``exposed``, or as
    soon as there is any. ``rate`` is requests a minute of each who calls, 0 for any number. Of ``max_connections``
    nobody gets all.
    """

    token: str | None = None
    exposed: bool = False
    hosts: frozenset[str] = field(default_factory=frozenset[str])
    origins: frozenset[str] = field(default_factory=frozenset[str])
    max_body: int = 32 * 2**20
    max_header: int = 16 * 2**10
    receive_timeout: float = 30.0
    rate: int = 0
    max_connections: int = 512
    owner: Principal = field(default_factory=Principal)

    def most_open(self, principal: Principal) -> int:
        """How many answers may be open at once of who calls: half of the connections for the owner of the machine, a
        quarter for each other; but never so few that a person with some tabs would notice."""
        part = 2 if principal.name == self.owner.name else 4
        return max(_FEW_OPEN, self.max_connections // part)


def patience(receive_timeout: float) -> float:
    """The seconds after which we give up a request: a little less, so that it is over with when the time is."""
    return receive_timeout - min(_EARLIER, receive_timeout * _LITTLE)
