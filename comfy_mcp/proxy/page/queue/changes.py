"""What changes in a list that a browser shows: what goes, what comes or moves, and after which.

Pure. Owns that few things move: what keeps its order among the others stays where it is.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence

__all__ = ["changed", "limited"]


def limited(wanted: Sequence[str], known: Collection[str], most: int) -> list[str]:
    """What is ``wanted``, with at most so many that are not ``known`` yet; the others come later."""
    found, new = list[str](), 0
    for key in wanted:
        new += key not in known
        if key in known or new <= most:
            found.append(key)
    return found


def changed(
    before: Mapping[str, str], after: Mapping[str, str]
) -> tuple[list[str], list[tuple[str, str | None, bool]]]:
    """From one list to another, each its keys in order, with a tag of what is shown: the keys that go, and those that
    are put somewhere, in order, with the key that each comes after (None: it is the first) and whether it is to be
    drawn anew."""
    keys = list(after)
    staying = _in_order([key for key in keys if key in before], {key: place for place, key in enumerate(before)})
    put = [
        (key, keys[place - 1] if place else None, before.get(key) != after[key])
        for place, key in enumerate(keys)
        if key not in staying or before[key] != after[key]
    ]
    return [key for key in before if key not in after], put


def _in_order(keys: Sequence[str], places: Mapping[str, int]) -> set[str]:
    """The most of the keys whose places rise: the longest increasing subsequence."""
    ends, last, previous = list[int](), list[str](), dict[str, str | None]()
    for key in keys:
        at = bisect_left(ends, places[key])
        previous[key] = last[at - 1] if at else None
        ends[at : at + 1], last[at : at + 1] = [places[key]], [key]
    found, key = set[str](), last[-1] if last else None
    while key is not None:
        found.add(key)
        key = previous[key]
    return found
