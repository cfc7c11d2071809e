"""Asking language models through the queue: what models there are, and a chat as a job like a picture.

Owns how a request becomes a job and a job a reply. Which model answers is the router's to choose; the backends ask it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import asdict, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import anyio
from pydantic_core import to_json

from comfy_mcp.backends import Circuit, LLMBackend
from comfy_mcp.errors import (
    BackendUnavailable,
    BadRequest,
    InvalidParameter,
    Overloaded,
    TooLarge,
    WorkbenchError,
)
from comfy_mcp.jobs import Job, JobRequest, JobState
from comfy_mcp.store import Idempotency, NewJob
from comfy_mcp.tasks import to_the_end
from comfy_mcp.texts import CHAT, bound_chat, failure_of, images_of, needs_of_chat, reply_of
from comfy_mcp.workbench.binding import check_schedule
from comfy_mcp.workbench.chat_values import chat_values
from llm_bridge.chat import ChatRequest, Event, Loading, Prompting, Reply, Text, Waiting
from llm_bridge.errors import BadInput, BridgeError, ContextExceeded, ServerError
from llm_bridge.messages import Image
from llm_bridge.providers import Model
from llm_bridge.router import Candidate, Choice, Wanted, choose
from llm_bridge.tokens import Learned

if TYPE_CHECKING:
    from comfy_mcp.workbench.workbench import Workbench

__all__ = ["Chats"]

_MOST_LETTERS = 2_000_000
_MOST_IMAGES = 64
_WAIT_SECONDS = 2.0
_BEHIND = -1
"""Priority of what is asked by the hundred."""


class Chats:
    """The chats of a workbench."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench
        self._learned = Learned()

    async def offered(self, *, fresh: bool = False) -> dict[str, Sequence[Model]]:
        """The models of every LLM server by its name; of one that is down, what it last had. ``fresh`` asks again.

        Raises:
            BackendUnavailable: no server is set up, or none answers, or ever did.
        """
        pool, refusal, found = self._workbench.pool, None, dict[str, Sequence[Model]]()
        for member in pool.members:
            backend = member.backend
            if not isinstance(backend, LLMBackend) or member.leaving:
                continue
            try:
                if member.breaker.circuit is not Circuit.OPEN or not backend.known:
                    await backend.models(fresh=fresh)
            except WorkbenchError as failure:
                pool.unreachable(member, failure)
                refusal = refusal or failure
            if backend.known:
                found[member.name] = backend.known
        if found:
            return found
        raise refusal or BackendUnavailable(
            "No LLM server is set up.", hint="Set WORKBENCH_LLM_URL; `comfy-workbench llm scan` finds what runs here."
        )

    async def named(self, patterns: Sequence[str]) -> list[str]:
        """The models that these names and patterns (`*`, `lm-studio/*`) stand for, as `server/model`, each once.

        Raises:
            InvalidParameter: one stands for no model.
        """
        offered = await self.offered()
        everything = [f"{server}/{model.id}" for server, models in offered.items() for model in models if model.chats]
        found: list[str] = []
        for pattern in patterns:
            if any(sign in pattern for sign in "*?"):
                alike = [name for name in everything if fnmatchcase(name, pattern) or fnmatchcase(_bare(name), pattern)]
                if not alike:
                    raise InvalidParameter(
                        "models", f"No model is like {pattern[:128]!r}.", hint="`llm models` lists what there is."
                    )
                found += alike
            else:
                found.append((await self._chosen(ChatRequest(pattern, ()))).candidate.name)
        return list(dict.fromkeys(found))

    async def make(self, request: JobRequest, key: str | None = None) -> Job:
        """A chat that was asked for by values, as a template is; raises as `submit`, and NotFound for a picture."""
        values = chat_values(request.values)
        images: tuple[Image, ...] = ()
        if values.image:
            asset = await self._workbench.picture(values.image, request.owner)
            images = (Image(await self._workbench.read(asset), asset.mime),)
        return await self.submit(values.request(images), request, key)

    async def submit(self, asked: ChatRequest, schedule: JobRequest, key: str | None = None) -> Job:
        """Queue a chat; ``schedule`` says whose it is and when it may run. Known by its ``key`` as other jobs are.

        Raises:
            InvalidParameter, TooLarge: what no model takes, or a model that no server has.
            BackendUnavailable: no LLM server is set up, or ever answered.
            Conflict, Overloaded, StorageUnavailable: as `Workbench.submit`.
        """
        store = self._workbench.store
        once = Idempotency(key, _fingerprint(asked)) if key else None
        if once is not None and (found := await store.find(schedule.owner, CHAT, once)) is not None:
            return found
        new = await self._accepted(asked, schedule)
        job = await to_the_end(store.enqueue(new, once))
        self._workbench.notify()
        return job

    async def ask(
        self,
        key: str,
        asked: ChatRequest,
        on_event: Callable[[Event], object],
        *,
        owner: str = "local",
        on_job: Callable[[str], object] = lambda job: None,
    ) -> Reply:
        """The reply to a chat, made as a job that outlives the caller: who asks with the same ``key`` gets the same.

        It goes behind what people wait for. One that failed before is asked again. A full queue is waited for.
        ``on_job`` is told the id of the job.

        Raises:
            BridgeError: why there is no reply.
        """
        try:
            job = await self._begun(key, asked, JobRequest(CHAT, owner=owner, priority=_BEHIND))
            on_job(job.id)
            told = _Told(on_event)
            async with aclosing(self._workbench.follow(job.id, owner)) as changes:
                async for job in changes:
                    told.see(job)
        except WorkbenchError as failure:
            kind = BadInput if isinstance(failure, BadRequest) else ServerError
            raise kind(failure.message, hint=failure.hint) from failure
        if job.state is not JobState.SUCCEEDED:
            raise failure_of(job)
        return reply_of(job)

    async def cancel(self, jobs: Iterable[str]) -> None:
        """Stop these jobs, those that wait first: else the next of them would start where one was stopped."""
        found = [await self._workbench.store.get(job) for job in jobs]
        for job in sorted(found, key=lambda job: job.state is JobState.RUNNING):
            await self._workbench.cancel(job.id)

    async def _begun(self, key: str, asked: ChatRequest, schedule: JobRequest) -> Job:
        attempt = 0
        while True:
            attempt += 1
            try:
                job = await self.submit(asked, schedule, key if attempt == 1 else f"{key}-{attempt}")
            except Overloaded as failure:
                attempt -= 1
                await anyio.sleep(float(failure.details.get("retry_after", _WAIT_SECONDS)))
                continue
            if not job.state.terminal or job.state is JobState.SUCCEEDED:
                return job

    async def _accepted(self, asked: ChatRequest, schedule: JobRequest) -> NewJob:
        _check(asked)
        check_schedule(schedule, self._workbench.pool)
        choice = await self._chosen(asked)
        images = [await self._workbench.upload(image.data, schedule.owner) for image in images_of(asked)]
        bound = bound_chat(replace(asked, model=choice.model), [image.id for image in images])
        auto = asked.model.partition(":")[0] == "auto"
        # One that was named without a server may run wherever it is.
        server = None if asked.model == choice.model else choice.server
        return NewJob(
            owner=schedule.owner,
            template=CHAT,
            style=None,
            bound=bound,
            priority=schedule.priority,
            warnings=(choice.because,) if auto else (),
            model=choice.model,
            needs=needs_of_chat(choice.model, server) | {f"tag:{tag}" for tag in schedule.tags},
            expires_in=schedule.expires_in or self._workbench.settings.queue_expiry,
        )

    async def _chosen(self, asked: ChatRequest) -> Choice:
        """The model on its server that a request asks for. Raises InvalidParameter, or TooLarge when none has room."""
        candidates: list[Candidate] = []
        for server, models in (await self.offered()).items():
            member = self._workbench.pool.find(server)
            assert member is not None and isinstance(member.backend, LLMBackend)
            speeds, cost = member.backend.speeds, member.backend.client.endpoint.cost
            candidates += [
                Candidate(server, model, cost, member.running, speeds.of(server, model.id).tokens_per_second)
                for model in models
            ]
        try:
            return choose(Wanted.by(asked, self._learned.estimate(asked)), candidates)
        except ContextExceeded as failure:
            raise TooLarge(failure.message, hint=failure.hint, **failure.details) from None
        except BridgeError as failure:
            raise InvalidParameter("model", failure.message, hint=failure.hint) from None


class _Told:
    """The changes of a job as the events of a chat."""

    def __init__(self, on_event: Callable[[Event], object]) -> None:
        self._on_event, self._text = on_event, ""
        self._last: Event | None = None

    def see(self, job: Job) -> None:
        progress = job.progress
        if job.state is JobState.QUEUED and job.place is not None:
            self._tell(Waiting(job.place.position))
        elif progress.node == "loading":
            self._tell(Loading(job.model))
        elif progress.node == "prompt":
            self._tell(Prompting(progress.value, progress.maximum or None))
        elif progress.text.startswith(self._text) and progress.text != self._text:
            self._on_event(Text(progress.text[len(self._text) :]))
            self._text = progress.text

    def _tell(self, event: Event) -> None:
        if event != self._last:
            self._last = event
            self._on_event(event)


def _check(asked: ChatRequest) -> None:
    """What is refused before anybody is asked."""
    if not any(message.parts or message.tool_calls for message in asked.messages):
        raise InvalidParameter("prompt", "There is nothing to ask.", hint="Give a prompt.")
    if sum(len(message.text) for message in asked.messages) > _MOST_LETTERS:
        raise TooLarge(f"The messages are longer than {_MOST_LETTERS} characters.", hint="Shorten them.")
    if len(list(images_of(asked))) > _MOST_IMAGES:
        raise TooLarge(f"That is more than {_MOST_IMAGES} pictures.", hint="Ask in several turns.")


def _fingerprint(asked: ChatRequest) -> str:
    told = {"request": asdict(asked), "images": [hashlib.sha256(image.data).hexdigest() for image in images_of(asked)]}
    return hashlib.sha256(to_json(told, bytes_mode="base64")).hexdigest()


def _bare(name: str) -> str:
    return name.partition("/")[2]
