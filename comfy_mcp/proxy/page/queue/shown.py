"""What one reader sees of the queue at a moment: lists of cards, each under a key with a tag of what is on it.

Owns who sees what: an administrator sees everybody's jobs, but only their own pictures; others see their own jobs and
how many there are of others.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

from comfy_mcp.backends import ComfyUIBackend, LLMBackend, Member
from comfy_mcp.callers import Right
from comfy_mcp.jobs import Job, JobState
from comfy_mcp.proxy.asking import asker_of
from comfy_mcp.proxy.page.queue.telling import (
    about,
    gigabytes,
    model_name,
    soon,
    state_of,
    step_of,
    title_of,
    why_text,
)
from comfy_mcp.proxy.page.rendering import language_of, words_of
from comfy_mcp.proxy.page.static import address
from comfy_mcp.ui import environment
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.memories import Held
from comfy_mcp.workbench.waiting_line import Seen

__all__ = ["LISTS", "Reader", "Shown"]

LISTS = ("running", "waiting", "ended", "backends")
_ENDED_SECONDS, _MOST_ENDED, _MOST_CANCELLED = 900.0, 12, 3
_GRAPHS = frozenset({"graph", "chat"})
_UNMADE = (JobState.FAILED, JobState.CANCELLED, JobState.EXPIRED)


@dataclass(frozen=True, slots=True)
class Shown:
    """``lists`` are tags by key, in order; ``cards`` what is drawn, where that is known already, by list and key.
    ``texts`` stand in places of the page, ``why`` by lane, ``starts`` by job, ``running`` are the jobs that run."""

    lists: Mapping[str, Mapping[str, str]]
    cards: Mapping[tuple[str, str], Mapping[str, Any]]
    texts: Mapping[str, str]
    why: Mapping[str, str]
    starts: Mapping[str, str]
    running: Sequence[Job]


class Reader:
    """The queue for who asks, in their language."""

    def __init__(self, workbench: Workbench, request: Request) -> None:
        asker = asker_of(request)
        self._workbench, self._words = workbench, words_of(request)
        self._environment = environment(language_of(request), "comfy_mcp.proxy.page")
        self.owner, self.is_admin = asker.owner, Right.ADMIN in asker.rights
        self.sees = None if self.is_admin else asker.owner
        self.sends_graphs = Right.GRAPHS in asker.rights
        self._ended: Sequence[Job] = ()
        self._active: frozenset[str] | None = None

    async def look(self) -> Shown:
        """What there is to see now."""
        seen = await self._workbench.line.look()
        running = [job for job in seen.running if self.sees in (None, job.owner)]
        waiting = {each.job: str(each.lane) for each in seen.waiting if self.sees in (None, each.owner)}
        cards = {("running", job.id): self._job(job) for job in running}
        cards |= {("ended", job.id): self._job(job) for job in await self._ended_lately(seen)}
        cards |= await self._backends(seen)
        lists = {name: {key: _tag(card) for (where, key), card in cards.items() if where == name} for name in LISTS}
        # A running job's card is drawn once; how far it is comes separately.
        lists["running"] = {job.id: str(job.attempt) for job in running}
        lists["waiting"] = waiting
        starts = {job: soon(seen.places[job].starts_in, self._words) for job in waiting if job in seen.places}
        lanes = frozenset(waiting.values())
        # Of lanes without a job that is shown nothing is told: what others wait for is theirs.
        why = {str(lane): why_text(each, self._words) for lane, each in seen.reasons.items() if str(lane) in lanes}
        return Shown(lists, cards, self._texts(seen, len(running), len(waiting)), why, starts, running)

    async def drawn(self, name: str, keys: Sequence[str], shown: Shown) -> dict[str, str]:
        """The cards of these keys of a list as HTML; what is gone meanwhile is left out."""
        cards = {key: card for key in keys if (card := shown.cards.get((name, key))) is not None}
        if name == "waiting" and keys:
            jobs = await self._workbench.line.several(keys)
            cards = {job.id: {**self._job(job), **_waits(job, shown)} for job in jobs if job.id in shown.lists[name]}
        template = self._environment.get_template(f"queue/_{name}.html")
        tags = shown.lists[name]
        told = {"is_admin": self.is_admin, "static": address}
        return {key: template.render(each=card, key=key, tag=tags[key], **told) for key, card in cards.items()}

    def step(self, job: Job) -> str:
        """What a running job is at."""
        return step_of(job, self._workbench, self._words)

    async def _ended_lately(self, seen: Seen) -> Sequence[Job]:
        """Looked up again only when something is gone from those that run or wait."""
        active = frozenset({*(job.id for job in seen.running), *(each.job for each in seen.waiting)})
        if self._active is None or self._active - active:
            ended = await self._workbench.line.ended(self.sees, _ENDED_SECONDS, _MOST_ENDED)
            cancelled = [job.id for job in ended if job.state is JobState.CANCELLED][_MOST_CANCELLED:]
            self._ended = [job for job in ended if job.id not in cancelled]
        self._active = active
        return self._ended

    def _job(self, job: Job) -> dict[str, Any]:
        mine = job.owner == self.owner
        return {
            "title": title_of(job, self._workbench, self._words),
            "about": about(job),
            "model": model_name(job.model),
            "priority": job.priority,
            "owner": "" if mine else job.owner,
            "backend": job.backend or "",
            "state": job.state,
            "told": state_of(job, self._words) if job.state.terminal else "",
            "error": job.error if job.state in (JobState.FAILED, JobState.EXPIRED) else None,
            "pictures": [asset for asset in job.assets if asset.mime.startswith("image/")][:1] if mine else [],
            "tool": "" if job.template in _GRAPHS else _tool(job),
            "again": job.state in _UNMADE and self._workbench.line.can_again(job, graphs=self.sends_graphs),
            **({} if job.state.terminal else {"step": self.step(job), "at": job.progress, "attempts": job.attempts}),
            **({"elapsed": _seconds_since(job.started)} if job.state is JobState.RUNNING else {}),
        }

    async def _backends(self, seen: Seen) -> dict[tuple[str, str], dict[str, Any]]:
        held = await self._workbench.line.memories.all()
        members = await self._workbench.backends()
        return {("backends", each.name): _backend(each, seen, held.get(each.name, Held())) for each in members}

    def _texts(self, seen: Seen, running: int, waiting: int) -> dict[str, str]:
        words, streams = self._words, self._workbench.streams
        others = (len(seen.running) - running, len(seen.waiting) - waiting)
        first = next((n for n, each in enumerate(seen.waiting) if each.owner == self.owner), 0)
        told = words("Of others %(running)s run and %(waiting)s wait.", running=others[0], waiting=others[1])
        if first:
            told += " " + words("%(number)s of them are before your first.", number=first)
        chats = words(
            "Chats: %(running)s are answered, %(waiting)s wait.", running=streams.answering, waiting=streams.waiting
        )
        return {
            "running": str(running),
            "waiting": str(waiting),
            "others": told if any(others) else "",
            "chats": chats if streams.answering or streams.waiting else "",
        }


def _tool(job: Job) -> str:
    """Where it is seen while it goes on, and where it is asked for again with the same values when it has ended."""
    return f"/tools/{job.template}?{'job' if job.state.terminal else 'run'}={job.id}"


def _waits(job: Job, shown: Shown) -> dict[str, Any]:
    lane = shown.lists["waiting"][job.id]
    return {"lane": lane, "why": shown.why.get(lane, ""), "starts": shown.starts.get(job.id, "")}


def _backend(member: Member, seen: Seen, held: Held) -> dict[str, Any]:
    backend, config, failure = member.backend, member.config, member.breaker.failure
    server, model = seen.loaded.get(config.place, ("", ""))
    loaded = [(model_name(name), gigabytes(size) if size else "") for name, size in held.models]
    if isinstance(backend, ComfyUIBackend) and server == member.name and model:
        loaded = [(model_name(model), "")]
    used = held.total - held.free
    return {
        "name": member.name,
        "kind": "ComfyUI" if isinstance(backend, ComfyUIBackend) else "",
        "is_llm": isinstance(backend, LLMBackend),
        "mode": str(member.mode),
        "circuit": str(member.breaker.circuit),
        "problem": (failure.message, failure.hint) if failure else None,
        "running": member.running,
        "slots": config.concurrency,
        "card": config.card,
        "tags": sorted(config.tags),
        "loaded": loaded,
        "memory": (round(100 * used / held.total), gigabytes(used), gigabytes(held.total)) if held.total else None,
    }


def _seconds_since(moment: datetime | None) -> int:
    return 0 if moment is None else max(0, round((datetime.now(UTC) - moment).total_seconds()))


def _tag(card: Mapping[str, Any]) -> str:
    return format(zlib.crc32(repr(card).encode()), "x")
