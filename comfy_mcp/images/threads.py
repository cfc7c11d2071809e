"""Runs work on pictures off the event loop, and bounds how much of it there is at once, in threads or elsewhere.

Owns two lanes: a quick one for checks, which never wait behind a decoder, and a slow one for decoding and encoding.
Used inside images.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar

__all__ = ["quick_lane", "run_quick", "run_slow", "slow_lane"]

T = TypeVar("T")

_QUICK = 4
_SLOW = 2
_LARGE_PIXELS = 8_000_000
"""From here on a decoder takes 100 MB and more and a core for half a second, so there is only one at a time."""

_lanes: RunVar[tuple[CapacityLimiter, CapacityLimiter, CapacityLimiter]] = RunVar("_lanes")


def _get_lanes() -> tuple[CapacityLimiter, CapacityLimiter, CapacityLimiter]:
    """The limiters of the running event loop: one made for another loop cannot be waited for."""
    try:
        return _lanes.get()
    except LookupError:
        lanes = CapacityLimiter(_QUICK), CapacityLimiter(_SLOW), CapacityLimiter(1)
        _lanes.set(lanes)
        return lanes


async def run_quick(work: Callable[[], T]) -> T:
    """Run something that takes milliseconds."""
    quick, _, _ = _get_lanes()
    return await anyio.to_thread.run_sync(work, limiter=quick)


@asynccontextmanager
async def quick_lane() -> AsyncGenerator[None]:
    """A place among the checks, for who checks somewhere else."""
    quick, _, _ = _get_lanes()
    async with quick:
        yield


@asynccontextmanager
async def slow_lane(pixels: int) -> AsyncGenerator[None]:
    """A place among those that decode, for who decodes ``pixels`` somewhere else."""
    _, slow, large = _get_lanes()
    async with large if pixels >= _LARGE_PIXELS else nullcontext(), slow:
        yield


async def run_slow(work: Callable[[], T], *, pixels: int) -> T:
    """Run something that decodes ``pixels``."""
    async with slow_lane(pixels):
        return await anyio.to_thread.run_sync(work, limiter=CapacityLimiter(1))
