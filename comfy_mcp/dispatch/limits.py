"""What bounds the work of a dispatcher."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """``timeout`` seconds per attempt, ``attempts`` per job; leases are renewed every ``beat`` seconds.

    A job under which ``takeovers`` dispatchers ended is taken for the cause, and set aside. Of the guests, ``guests``
    may wait in all and ``guests_per_owner`` of one owner, but at most half of them, and each at most
    ``patience`` seconds for a server to be there.
    """

    timeout: float = 1800.0
    attempts: int = 2
    takeovers: int = 10
    beat: float = 5.0
    guests: int = 1000
    guests_per_owner: int = 1000
    patience: float = 120.0
