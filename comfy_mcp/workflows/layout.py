"""Where the nodes of a graph stand when it is drawn: in columns from left to right, each after all that it needs.

Owns the columns, the order in them and the way of the links around the nodes between. Pure; used by drawing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

__all__ = ["MOST_LINKS", "MOST_NODES", "Link", "Placed", "laid_out"]

MOST_NODES, MOST_LINKS = 300, 2_000
"""More are not drawn: nobody could read it."""

_MOST_BENDS = 3_000
_WIDTH, _BETWEEN, _GAP, _BEND = 200.0, 64.0, 18.0, 6.0
_SWEEPS = 4


@dataclass(frozen=True, slots=True)
class Link:
    """From an output of one node to a linked input of another, both counted from the top."""

    source: str
    output: int
    target: str
    input: int


@dataclass(eq=False, slots=True)
class _Spot:
    """A node, or (without a name) a place where a link passes through a column."""

    column: int
    height: float
    name: str = ""
    y: float = 0.0
    before: list[_Spot] = field(default_factory=list["_Spot"])
    after: list[_Spot] = field(default_factory=list["_Spot"])

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    @property
    def gap(self) -> float:
        return _GAP if self.name else _GAP / 2


@dataclass(frozen=True, slots=True)
class Placed:
    """``nodes`` are left and top by name; ``ways`` the points that each link goes through, the first and the last at
    the edges of its nodes. All in pixels."""

    nodes: Mapping[str, tuple[float, float]]
    ways: tuple[tuple[tuple[float, float], ...], ...]
    width: float
    height: float
    node_width: float = _WIDTH


def laid_out(heights: Mapping[str, float], links: Iterable[Link]) -> Placed:
    """Place nodes of these heights; links to nodes that are not among them are left out. Circles do no harm."""
    links = [link for link in links if link.source in heights and link.target in heights]
    columns = _columns(heights, links)
    spots = {name: _Spot(columns[name], height, name) for name, height in heights.items()}
    bends = _bends(spots, links)
    rows: list[list[_Spot]] = [[] for _ in range(max(columns.values(), default=-1) + 1)]
    for spot in [*spots.values(), *dict.fromkeys(bend for way in bends for bend in way)]:
        rows[spot.column].append(spot)
    _order(rows)
    _settle(rows)
    top = min((spot.y for row in rows for spot in row), default=0.0)
    for row in rows:
        for spot in row:
            spot.y -= top
    bottom = max((spot.y + spot.height for row in rows for spot in row), default=0.0)
    outputs = _ports((link.source, link.output) for link in links)
    inputs = _ports((link.target, link.input) for link in links)
    ways = tuple(_way(link, spots, way, outputs, inputs) for link, way in zip(links, bends, strict=True))
    nodes = {name: (_left(spot), spot.y) for name, spot in spots.items()}
    return Placed(nodes, ways, max(0.0, len(rows) * (_WIDTH + _BETWEEN) - _BETWEEN), bottom)


def _columns(names: Iterable[str], links: list[Link]) -> dict[str, int]:
    """The length of the longest way to each node; what needs nothing stands right before the first that needs it."""
    columns = dict.fromkeys(names, 0)
    waiting = dict.fromkeys(columns, 0)
    after: dict[str, list[str]] = {name: [] for name in columns}
    for link in links:
        after[link.source].append(link.target)
        waiting[link.target] += 1
    starts = [name for name, count in waiting.items() if count == 0]
    ready = list(starts)
    while ready:
        name = ready.pop()
        for target in after[name]:
            columns[target] = max(columns[target], columns[name] + 1)
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    for name in starts:
        if after[name]:
            columns[name] = max(0, min(columns[target] for target in after[name]) - 1)
    return columns


def _bends(spots: Mapping[str, _Spot], links: list[Link]) -> list[list[_Spot]]:
    """For each link the places it passes through, shared by the links of one output; and who stands beside whom."""
    shared: dict[tuple[str, int, int], _Spot] = {}
    ways: list[list[_Spot]] = []
    passed = 0
    for link in links:
        source, target = spots[link.source], spots[link.target]
        between = range(source.column + 1, target.column) if passed < _MOST_BENDS else ()
        # Also where places are shared: each way through one is drawn.
        passed += len(between)
        way = [shared.setdefault((link.source, link.output, column), _Spot(column, _BEND)) for column in between]
        chain = [source, *way, target]
        for left, right in pairwise(chain):
            left.after.append(right)
            right.before.append(left)
        ways.append(way)
    return ways


def _order(rows: list[list[_Spot]]) -> None:
    """Fewer crossings: everybody beside the average place of its neighbours, column by column, to and fro."""
    for sweep in range(2 * _SWEEPS):
        forth = sweep % 2 == 0
        places = {spot: float(place) for row in rows for place, spot in enumerate(row)}
        for row in rows if forth else reversed(rows):
            wanted = {spot: _mean([places[each] for each in _beside(spot, forth)], places[spot]) for spot in row}
            row.sort(key=wanted.__getitem__)
            places |= {spot: float(place) for place, spot in enumerate(row)}


def _settle(rows: list[list[_Spot]]) -> None:
    """Heights: nobody over another, everybody as near to its neighbours as that allows."""
    for row in rows:
        _stack(row, [0.0] * len(row))
    for sweep in range(2 * _SWEEPS):
        forth = sweep % 2 == 0
        for row in rows if forth else reversed(rows):
            _stack(row, [_mean([each.middle for each in _beside(s, forth)], s.middle) - s.height / 2 for s in row])


def _stack(row: list[_Spot], wanted: list[float]) -> None:
    bottom = float("-inf")
    for spot, y in zip(row, wanted, strict=True):
        spot.y = max(y, bottom)
        bottom = spot.y + spot.height + spot.gap
    shift = _mean([y - spot.y for spot, y in zip(row, wanted, strict=True)], 0.0)
    for spot in row:
        spot.y += shift


def _beside(spot: _Spot, forth: bool) -> list[_Spot]:
    return spot.before if forth else spot.after


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _left(spot: _Spot) -> float:
    return spot.column * (_WIDTH + _BETWEEN)


def _ports(ends: Iterable[tuple[str, int]]) -> Mapping[str, Mapping[int, int]]:
    """For each node the outputs, or the inputs, that have a link, and the place of each from the top."""
    found: dict[str, set[int]] = {}
    for node, port in ends:
        found.setdefault(node, set()).add(port)
    return {node: {port: place for place, port in enumerate(sorted(ports))} for node, ports in found.items()}


def _way(
    link: Link,
    spots: Mapping[str, _Spot],
    bends: list[_Spot],
    outputs: Mapping[str, Mapping[int, int]],
    inputs: Mapping[str, Mapping[int, int]],
) -> tuple[tuple[float, float], ...]:
    source, target = spots[link.source], spots[link.target]
    start = (_left(source) + _WIDTH, _port(source, outputs[link.source], link.output))
    end = (_left(target), _port(target, inputs[link.target], link.input))
    through = [(_left(bend) + at, bend.middle) for bend in bends for at in (0.0, _WIDTH)]
    return (start, *through, end)


def _port(spot: _Spot, ports: Mapping[int, int], port: int) -> float:
    return spot.y + spot.height * (ports[port] + 1) / (len(ports) + 1)
