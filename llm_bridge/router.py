"""Which model on which server answers: by name, or `auto` by what the request needs and what is at hand. It says why.

`choose` is a pure function over candidates; `Router` gathers those from a queue, and asks through it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from math import inf

from llm_bridge.chat import ChatRequest, Event, Reply
from llm_bridge.errors import (
    BadInput,
    BridgeError,
    ContextExceeded,
    NotSupported,
    ServerBusy,
    ServerUnavailable,
    UnknownModel,
)
from llm_bridge.providers import Model, State
from llm_bridge.queue import Queue, ServerView

__all__ = ["Candidate", "Choice", "Router", "Wanted", "choose"]

_ABILITIES = {"vision": "sees pictures", "tools": "calls tools", "reasoning": "reasons"}
_ORDERS = ("small", "large", "fast")
_THERE = (State.LOADED, State.SLEEPING)
_BILLIONS = re.compile(r"(?<![\d.])(?:(\d+)x)?(\d+(?:\.\d+)?)\s*([bm])(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model on a server. ``cost`` is a number that a person set, in units of their own; ``ahead`` is how many
    requests run or wait there; ``speed`` is tokens per second as measured, None when it was not.
    """

    server: str
    model: Model
    cost: float = 0.0
    ahead: int = 0
    speed: float | None = None

    @property
    def name(self) -> str:
        return f"{self.server}/{self.model.id}"

    @property
    def failed(self) -> bool:
        return self.model.state is State.FAILED


@dataclass(frozen=True, slots=True)
class Wanted:
    """``name`` is `model`, `server/model`, `auto`, or `auto:` with vision, tools, reasoning, small, large and fast,
    joined by +. ``tokens`` is how long the request is with its answer; the rest is what it needs besides the name.
    """

    name: str
    tokens: int | None = None
    vision: bool = False
    tools: bool = False
    reasoning: bool = False

    @classmethod
    def by(cls, request: ChatRequest, tokens: int | None = None) -> Wanted:
        """What a request needs, under the name that it has as its model; ``tokens`` is its prompt.

        A model that is named need not have room for the longest answer that is allowed: its server cuts that short.
        """
        vision = any(message.images for message in request.messages)
        answer = (request.sampling.max_tokens or 0) if _words(request.model) is not None else 0
        room = None if tokens is None else tokens + answer
        return cls(request.model, room, vision, bool(request.tools), request.think is True)


@dataclass(frozen=True, slots=True)
class Choice:
    """``because`` is a sentence; ``others`` says of every candidate that was passed over why, by name."""

    candidate: Candidate
    because: str
    others: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def server(self) -> str:
        return self.candidate.server

    @property
    def model(self) -> str:
        return self.candidate.model.id

    def __str__(self) -> str:
        passed = "; ".join(f"not {name}: {why}" for name, why in self.others.items())
        return f"{self.because} {passed[:1].upper()}{passed[1:]}." if passed else self.because


@dataclass(frozen=True, slots=True)
class _Need:
    """Something that a candidate has, has not, or that nobody knows of it: True, False, None."""

    has: Callable[[Candidate], bool | None]
    yes: str
    no: Callable[[Candidate], str]
    unknown: str


def choose(wanted: Wanted | str, candidates: Sequence[Candidate]) -> Choice:
    """The best of the candidates, the same one for the same candidates in any order.

    What is known not to do is never taken; what failed to load the last time, or is not known to do, only when there is
    nothing else. Of what is left, the words of `auto` decide in their order, then cost, whether it is loaded, who is
    before it, speed, and the name.

    Raises:
        BadInput: `auto:` with a word that means nothing.
        UnknownModel: none of this name.
        NotSupported, ContextExceeded: none that can do it, or none with room for it.
        ServerUnavailable: there are no candidates at all.
    """
    wanted = Wanted(wanted) if isinstance(wanted, str) else wanted
    words = _words(wanted.name)
    named = [each for each in candidates if each.model.chats] if words is not None else _named(wanted.name, candidates)
    if not named:
        raise ServerUnavailable("No server that answers has a model.", hint="Start one, or look at its settings.")
    needs = _needs(wanted, words or ())
    others = {each.name: why for each in named if (why := _refusal(each, needs))}
    able = [each for each in named if each.name not in others]
    if not able:
        raise _none(wanted, named, others)
    # A load that was only broken off may count as failed, too.
    if sound := [each for each in able if not each.failed]:
        others |= {each.name: "its last load failed" for each in able if each.failed}
        able = sound
    sure = [each for each in able if all(need.has(each) for need in needs)]
    if sure:
        others |= {each.name: _doubt(each, needs) for each in able if each not in sure}
    ranked = sorted(sure or able, key=lambda each: ([value for value, _ in _ranks(each, words or ())], each.name))
    best = ranked[0]
    others |= {each.name: _behind(each, best, words or ()) for each in ranked[1:]}
    return Choice(best, _because(best, needs, words), dict(sorted(others.items())))


def _words(name: str) -> list[str] | None:
    """The words after `auto:`, None for the name of a model."""
    if name != "auto" and not name.startswith("auto:"):
        return None
    words = [word for word in name[5:].split("+") if word]
    if unknown := [word for word in words if word not in _ABILITIES and word not in _ORDERS]:
        known = ", ".join((*_ABILITIES, *_ORDERS))
        raise BadInput(f"auto:{unknown[0][:64]} means nothing.", hint=f"Known, and joined by +: {known}.")
    return words


def _named(name: str, candidates: Sequence[Candidate]) -> list[Candidate]:
    found = (
        [each for each in candidates if each.model.id == name]
        or [each for each in candidates if each.name == name]
        or [each for each in candidates if name in each.model.aliases]
        or [each for each in candidates if name in {f"{each.server}/{alias}" for alias in each.model.aliases}]
    )
    if not found and candidates:
        names = {each.model.id for each in candidates} | {each.name for each in candidates}
        near = get_close_matches(name, sorted(names), 5, 0.4) or sorted(names)[:5]
        raise UnknownModel(f"No server that answers has a model {name[:128]!r}.", hint=f"Near it: {', '.join(near)}.")
    return found


def _needs(wanted: Wanted, words: Sequence[str]) -> list[_Need]:
    needs = [_ability(name, phrase) for name, phrase in _ABILITIES.items() if name in words or getattr(wanted, name)]
    if (tokens := wanted.tokens) is not None:
        needs.append(
            _Need(
                lambda each: None if (window := each.model.window) is None else window >= tokens,
                f"has room for {tokens} tokens",
                lambda each: f"it has room for {each.model.window} tokens only",
                "it is not known how many tokens it has room for",
            )
        )
    return needs


def _ability(name: str, phrase: str) -> _Need:
    def has(each: Candidate) -> bool | None:
        return getattr(each.model, name)

    verb, _, rest = phrase.partition(" ")
    cannot = f"it does not {verb.removesuffix('s')} {rest}".rstrip()
    return _Need(has, phrase, lambda _: cannot, f"it is not known whether it {phrase}")


def _refusal(each: Candidate, needs: Sequence[_Need]) -> str:
    if each.model.state is State.DOWNLOADING:
        return "it is still being downloaded"
    return next((need.no(each) for need in needs if need.has(each) is False), "")


def _doubt(each: Candidate, needs: Sequence[_Need]) -> str:
    return next(need.unknown for need in needs if need.has(each) is None)


def _none(wanted: Wanted, named: Sequence[Candidate], others: Mapping[str, str]) -> BridgeError:
    shown = "; ".join(f"{name}: {why}" for name, why in list(others.items())[:5])
    windows = [each.model.window for each in named if each.model.window is not None]
    if wanted.tokens is not None and all("room" in why for why in others.values()):
        return ContextExceeded(
            f"No model has room for {wanted.tokens} tokens. {shown}.",
            hint="Shorten the messages, or load a model with a larger context.",
            needed=wanted.tokens,
            window=max(windows, default=None),
        )
    return NotSupported(f"No model will do for {wanted.name[:128]!r}. {shown}.", hint="Load one that can, or ask less.")


def _ranks(each: Candidate, words: Sequence[str]) -> list[tuple[float, str]]:
    """What counts, most important first: the smaller the better, and what is said of one that has more of it."""
    size = _size(each.model)
    orders: dict[str, tuple[float, str]] = {
        "small": (inf if size is None else size, "it is larger, or its size is not known"),
        "large": (inf if size is None else -size, "it is smaller, or its size is not known"),
        "fast": (-(each.speed or 0.0), "it was slower, or not measured"),
    }
    waits = "a request is before it" if each.ahead == 1 else f"{each.ahead} requests are before it"
    return [
        *(orders[word] for word in words if word in orders),
        (each.cost, "it costs more"),
        (0 if each.model.state in _THERE else 1 if each.model.state is None else 2, "it is not loaded"),
        (each.ahead, waits),
        orders["fast"],
    ]


def _behind(each: Candidate, best: Candidate, words: Sequence[str]) -> str:
    pairs = zip(_ranks(each, words), _ranks(best, words), strict=True)
    return next((why for (mine, why), (theirs, _) in pairs if mine != theirs), "it is as good, but later by name")


def _because(best: Candidate, needs: Sequence[_Need], words: Sequence[str] | None) -> str:
    reasons = [need.yes for need in needs if need.has(best)]
    reasons += ["is what was asked for"] if words is None else []
    if words and "small" in words and _size(best.model) is not None:
        reasons.append("is the smallest")
    if words and "large" in words and _size(best.model) is not None:
        reasons.append("is the largest")
    if words and "fast" in words and best.speed is not None:
        reasons.append(f"is the fastest, with {best.speed:.0f} tokens per second")
    reasons += ["is loaded"] if best.model.state in _THERE else []
    doubts = "".join(f" But {need.unknown}." for need in needs if need.has(best) is None)
    return f"Chose {best.name} because it {_listed(reasons or ['is the best of what there is'])}.{doubts}"


def _listed(reasons: Sequence[str]) -> str:
    *first, last = reasons
    return f"{', '.join(first)} and {last}" if first else last


def _size(model: Model) -> float | None:
    """Billions of parameters, as told or as the name says; else gigabytes, which is about the same."""
    for text in (model.parameters or "", model.id):
        if found := _BILLIONS.search(text):
            # Mixtures are called 8x7b.
            return float(found[1] or 1) * float(found[2]) / (1000.0 if found[3].lower() == "m" else 1.0)
    return None if model.size is None else model.size / 1e9


class Router:
    """Chooses among the servers of a queue, which then runs what was chosen; the `Ask` of a comparison, too.

    ``costs`` is by `server` or `server/model`; what is not in it costs what its endpoint says. What a server has is not
    known for longer than ``fresh`` seconds. With a ``server`` no other is chosen. ``within`` is the prompt whose graph
    asks all of it (`ChatRequest`).
    """

    def __init__(
        self,
        queue: Queue,
        costs: Mapping[str, float] | None = None,
        *,
        fresh: float = 5.0,
        server: str | None = None,
        within: str | None = None,
    ) -> None:
        self._queue = queue
        self._costs, self._fresh, self._server, self._within = costs or {}, fresh, server, within

    async def choose(self, request: ChatRequest, tokens: int | None = None) -> Choice:
        """For a request whose model is a name for `choose`; ``tokens`` is its prompt. Raises as `choose`.

        A model that no list has is taken to be where there is no list, or else on a server that is away and had it, for
        which the queue waits; `server/model` of a server that is not set up is the model wherever it is. A message
        about what there is names the servers that could not be asked.
        """
        told, wanted = await self._queue.models(fresh=self._fresh), Wanted.by(request, tokens)
        views = [view for view in self._queue.snapshot().servers if self._server in (None, view.name)]
        candidates = self._candidates(told, views)
        try:
            return choose(wanted, candidates)
        except BridgeError as failure:
            server, _, model = wanted.name.partition("/")
            for name, others in (
                (wanted.name, self._guesses(wanted.name, views)),
                (wanted.name, self._remembered(told, views)),
                (model if server not in told else "", candidates),
            ):
                with suppress(BridgeError):
                    return choose(replace(wanted, name=name), others)
            if isinstance(named := told.get(self._server or server), BridgeError):
                # The one that was asked for by name is away, which says more than what others have.
                raise copy(named) from None
            asked = [told[view.name] for view in views]
            if away := [models.message for models in asked if isinstance(models, BridgeError)]:
                failure.hint = f"{failure.hint} Not asked: {' '.join(away)}".strip()
            raise

    async def ask(
        self,
        request: ChatRequest,
        on_event: Callable[[Event], object] | None = None,
        *,
        on_choice: Callable[[Choice], object] | None = None,
        owner: str = "local",
        priority: int = 0,
    ) -> Reply:
        """The reply of what is chosen, which ``on_choice`` is told. Waits while the queue is full.

        Raises as `choose` and `Queue.ask`.
        """
        choice = await self.choose(request)
        if on_choice is not None:
            on_choice(choice)
        request = replace(request, model=choice.model, within=self._within or request.within)
        while True:
            try:
                return await self._queue.ask(request, on_event, server=choice.server, owner=owner, priority=priority)
            except ServerBusy as busy:
                if not busy.details.get("full"):
                    raise
                await asyncio.sleep(busy.details["retry_after"])

    async def __call__(self, key: str, request: ChatRequest, on_event: Callable[[Event], None]) -> Reply:
        """As `ask`; ``key`` is for who keeps answers."""
        return await self.ask(request, on_event)

    def _candidates(
        self, told: Mapping[str, Sequence[Model] | BridgeError], views: Sequence[ServerView]
    ) -> list[Candidate]:
        found: list[Candidate] = []
        for view in views:
            models = told[view.name]
            if not isinstance(models, BridgeError):
                found += [self._candidate(view, model) for model in models]
        return found

    def _guesses(self, name: str, views: Sequence[ServerView]) -> list[Candidate]:
        """A model of this name on each server that has no list."""
        if _words(name) is not None:
            return []
        return [
            self._candidate(view, Model(name.removeprefix(f"{view.name}/")))
            for view in views
            if view.unlisted and view.failure is None
        ]

    def _remembered(
        self, told: Mapping[str, Sequence[Model] | BridgeError], views: Sequence[ServerView]
    ) -> list[Candidate]:
        """What servers had that do not answer just now."""
        away = [view for view in views if isinstance(failure := told[view.name], BridgeError) and failure.temporary]
        return [self._candidate(view, model) for view in away for model in self._queue.remembered(view.name)]

    def _candidate(self, view: ServerView, model: Model) -> Candidate:
        cost = self._costs.get(f"{view.name}/{model.id}", self._costs.get(view.name, view.cost))
        ahead = sum(view.running.values()) + sum(view.waiting.values())
        return Candidate(view.name, model, cost, ahead, self._queue.speeds.of(view.name, model.id).tokens_per_second)
