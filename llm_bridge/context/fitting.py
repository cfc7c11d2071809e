"""The strategies by which a request is made to fit into a window.

    error        nothing is left out; a request that does not fit is refused
    trim_oldest  turns are left out, the oldest first
    middle_out   turns are left out, from the middle outwards; the first one, often the task, goes last
    summarise    the oldest turns become a summary by the same model; where that fails, trim_oldest with a note of it

`turns.units` says what is a turn and what is never left out. When all that may go is gone and it is still too much,
the request is refused, whatever the strategy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from llm_bridge.chat import ChatRequest
from llm_bridge.context.summaries import Count, Summaries, keys
from llm_bridge.context.turns import Unit, from_the_middle, units, without
from llm_bridge.conversation import summarised
from llm_bridge.errors import BridgeError, ContextExceeded

__all__ = ["STRATEGIES", "Fitted", "Fitting", "Strategy", "fit", "refit"]

Strategy = Literal["error", "trim_oldest", "middle_out", "summarise"]
STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)

_MOST_RESERVE = 1024
_MOST_SUMMARY = 512


@dataclass(frozen=True, slots=True)
class Fitting:
    """How to fit. ``reserve`` is the room in tokens for the answer of a request without max_tokens.

    None reserves a quarter of the window, at most 1024. Strategy summarise needs ``summaries``.
    """

    count: Count
    strategy: Strategy = "error"
    reserve: int | None = None
    summaries: Summaries | None = None

    def __post_init__(self) -> None:
        if self.strategy == "summarise" and self.summaries is None:
            raise ValueError("The strategy summarise needs summaries.")


@dataclass(frozen=True, slots=True)
class Fitted:
    """A request that fits, and ``notes`` for people of what was left out of it."""

    request: ChatRequest
    notes: tuple[str, ...] = ()


async def fit(request: ChatRequest, window: int, fitting: Fitting) -> Fitted:
    """The request, with room for the answer, in at most ``window`` tokens; the same one when it fits already.

    Raises:
        ContextExceeded: the instructions alone, or with the last question, are too long, or the strategy is error.
    """
    job = _Job(request, window, fitting)
    needed = await job.count(request)
    if needed <= job.room:
        return Fitted(request)
    await job.refuse_instructions()
    if fitting.strategy == "error":
        raise job.exceeded("The messages need", needed, "Shorten them, or choose a strategy that leaves some out.")
    if fitting.strategy == "summarise" and fitting.summaries is not None:
        return await job.summarised(fitting.summaries)
    return await job.trimmed(middle=fitting.strategy == "middle_out")


async def refit(request: ChatRequest, failure: ContextExceeded, fitting: Fitting, window: int | None = None) -> Fitted:
    """After a server refused the request as too long: what to send instead, once.

    The server's own numbers (the failure's ``needed`` and ``window``) correct the count, which was too low.

    Raises:
        ContextExceeded: ``failure`` where no window is known or nothing may be left out; also as `fit`.
    """
    window = failure.details.get("window", window)
    if not window or fitting.strategy == "error":
        raise failure
    needed = max(failure.details.get("needed", 0), window + 1)
    scale = max(1.0, needed / max(1, await fitting.count(request, 0)))

    async def count(asked: ChatRequest, room: int) -> int:
        return math.ceil(await fitting.count(asked, 0) * scale)

    return await fit(request, window, replace(fitting, count=count))


def _answer(request: ChatRequest, window: int, fitting: Fitting) -> int:
    """Tokens that are kept free; servers take a max_tokens of 0 or less as none."""
    most = request.sampling.max_tokens
    if most is not None and most > 0:
        return most
    return fitting.reserve if fitting.reserve is not None else min(_MOST_RESERVE, window // 4)


class _Job:
    """One request on its way into one window."""

    def __init__(self, request: ChatRequest, window: int, fitting: Fitting) -> None:
        self._request = request
        self._window = window
        self._answer = _answer(request, window, fitting)
        self.room = window - self._answer
        self._count = fitting.count
        self._units = units(request.messages)

    async def count(self, request: ChatRequest) -> int:
        return await self._count(request, self.room)

    def exceeded(self, what: str, needed: int, hint: str) -> ContextExceeded:
        message = f"{what} {needed} tokens and the answer {self._answer}; the window has {self._window}."
        return ContextExceeded(message, hint=hint, needed=needed + self._answer, window=self._window)

    async def refuse_instructions(self) -> None:
        system = tuple(message for message in self._request.messages if message.role == "system")
        needed = await self.count(replace(self._request, messages=system)) if system else 0
        if needed > self.room:
            hint = "Shorten them, lower max_tokens, or choose a model with a larger window."
            raise self.exceeded("The instructions alone need", needed, hint)

    async def trimmed(self, *, middle: bool) -> Fitted:
        order = from_the_middle(self._units) if middle else self._units
        least = await self._least(lambda n: self._without(order[:n]), 1, len(order), self.room)
        shorter = self._without(order[:least])
        gone = sum(len(unit) for unit in order[:least])
        which = "from the middle" if middle else "the oldest"
        return Fitted(shorter, (f"{_messages(gone)} left out, {which}, to fit into {self._window} tokens.",))

    async def _least(self, made: Callable[[int], ChatRequest], low: int, high: int, room: int) -> int:
        """The smallest number from ``low`` to ``high`` for which what is ``made`` fits into ``room``.

        Raises:
            ContextExceeded: not even ``high`` does.
        """
        needed = await self._count(made(high), room)
        if needed > room or high < low:
            hint = "Shorten the last question, lower max_tokens, or choose a model with a larger window."
            raise self.exceeded("What cannot be left out needs", needed, hint)
        while low < high:
            middle = (low + high) // 2
            if await self._count(made(middle), room) <= room:
                high = middle
            else:
                low = middle + 1
        return high

    def _without(self, left_out: Sequence[Unit]) -> ChatRequest:
        return replace(self._request, messages=without(self._request.messages, left_out))

    async def summarised(self, summaries: Summaries) -> Fitted:
        try:
            return await self._summarised(summaries)
        except BridgeError as failure:
            fitted = await self.trimmed(middle=False)
            return replace(fitted, notes=(f"The older messages could not be summarised: {failure}", *fitted.notes))

    async def _summarised(self, summaries: Summaries) -> Fitted:
        messages = self._request.messages
        key = keys(self._request.model, [[messages[n] for n in unit] for unit in self._units])
        done, before = 0, ""
        for n in range(1, len(key)):
            told = summaries.made(key[n])
            if told is not None:
                shorter, done, before = self._with_summary(told, n), n, told
                if await self.count(shorter) <= self.room:
                    return self._noted(shorter, n)
        if done == len(self._units):
            raise ContextExceeded("There is nothing more to summarise.", window=self._window)
        most = min(_MOST_SUMMARY, max(1, self.room // 8))
        n = await self._enough(done + 1, self.room // 2 - most)
        old = replace(
            self._request,
            messages=tuple(messages[place] for unit in self._units[done:n] for place in unit),
            sampling=replace(self._request.sampling, max_tokens=most),
        )
        told = await summaries.make(key[n], old, before, self._count, self._window - most)
        shorter = self._with_summary(told, n)
        needed = await self.count(shorter)
        if needed > self.room:
            raise self.exceeded("With the summary the messages need", needed, "Choose a larger window.")
        return self._noted(shorter, n)

    async def _enough(self, low: int, room: int) -> int:
        """How many units to summarise: so many that half of the room is free again, as each summary takes its time."""
        try:
            return await self._least(lambda n: self._without(self._units[:n]), low, len(self._units), room)
        except ContextExceeded:
            return len(self._units)

    def _with_summary(self, told: str, n: int) -> ChatRequest:
        """In the place of the first ``n`` units."""
        place = self._units[0][0]
        before, after = self._request.messages[:place], without(self._request.messages, self._units[:n])[place:]
        return replace(self._request, messages=(*before, summarised(told), *after))

    def _noted(self, shorter: ChatRequest, n: int) -> Fitted:
        gone = sum(len(unit) for unit in self._units[:n])
        return Fitted(shorter, (f"{_messages(gone)} summarised, the oldest, to fit into {self._window} tokens.",))


def _messages(number: int) -> str:
    return "1 message was" if number == 1 else f"{number} messages were"
