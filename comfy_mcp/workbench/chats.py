"""Asking language models through the queue: what models there are, and a chat as a job like a picture.

Owns how a request becomes a job and a job a reply. Which model answers is the router's to choose; the backends ask it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, cast

import anyio
from anyio import to_thread
from pydantic_core import to_json

from comfy_mcp.backends import Circuit, LLMBackend, Member
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
from comfy_mcp.workbench.binding import check_schedule, own_pictures
from comfy_mcp.workbench.chat_values import CHAT_PICTURES, CHAT_TAKES, chat_values, refuse_what_pictures_have
from comfy_mcp.workbench.followed import Told
from comfy_mcp.workbench.settling import Laid, settled
from llm_bridge.chat import ChatRequest, Event, Reply
from llm_bridge.errors import BadInput, BridgeError, ContextExceeded, ServerError
from llm_bridge.messages import Image
from llm_bridge.providers import Model
from llm_bridge.router import Candidate, Choice, Wanted, choose
from llm_bridge.schemas import verify
from llm_bridge.tokens import Learned

if TYPE_CHECKING:
    from comfy_mcp.workbench.workbench import Workbench

__all__ = ["Chats", "Checked"]

_MOST_LETTERS = 2_000_000
_MOST_IMAGES = 64
_WAIT_SECONDS = 2.0
_LOOK_SECONDS = 0.5
_LOOKS_A_SECOND = 50
_MOST_ASSETS = 256
_BEHIND = -1
"""Priority of what is asked by the hundred."""


@dataclass(frozen=True, slots=True)
class Checked:
    """A chat that can be asked: its ``model``, on which ``server`` as things are, and what a server must offer.

    ``because`` says why, when the choice was left to us.
    """

    model: str
    server: str
    needs: frozenset[str]
    because: str


class Chats:
    """The chats of a workbench."""

    def __init__(self, workbench: Workbench) -> None:
        self._workbench = workbench
        self._learned = Learned()
        self._assets: dict[tuple[str, str], str] = {}
        self._storing = anyio.Lock()
        self._asking = 0

    async def offered(self, *, fresh: bool = False) -> dict[str, Sequence[Model]]:
        """The models of every LLM server by its name; of one that is down, what it last had. ``fresh`` asks again.

        Raises:
            BackendUnavailable: no server is set up, or none answers, or ever did.
        """
        pool, refusal, found = self._workbench.pool, None, dict[str, Sequence[Model]]()
        for member in self._servers:
            backend = cast("LLMBackend", member.backend)
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

    async def named(self, patterns: Sequence[str], parameter: str = "model") -> list[str]:
        """The models that these names and patterns (`*`, `lm-studio/*`) stand for, as `server/model`, each once.

        Raises:
            InvalidParameter: one stands for no model; it names the ``parameter``.
        """
        offered = await self.offered()
        everything = [f"{server}/{model.id}" for server, models in offered.items() for model in models if model.chats]
        found: list[str] = []
        for pattern in patterns:
            if any(sign in pattern for sign in "*?"):
                alike = [name for name in everything if fnmatchcase(name, pattern) or fnmatchcase(_bare(name), pattern)]
                if not alike:
                    raise InvalidParameter(
                        parameter, f"No model is like {pattern[:128]!r}.", hint="`llm models` lists what there is."
                    )
                found += alike
            else:
                found.append((await self._chosen(ChatRequest(pattern, ()), parameter)).candidate.name)
        return list(dict.fromkeys(found))

    async def make(self, request: JobRequest, key: str | None = None) -> Job:
        """A chat that was asked for by values, as a template is, with what is locked and set for good laid over them.

        Raises as `submit`, and InvalidParameter for a picture that its owner does not have, a style and a preset.
        """
        refuse_what_pictures_have(request)
        store = self._workbench.store
        told = await settled(CHAT_TAKES, request, store, self._workbench.settings.locked)
        told.arguments = await own_pictures(CHAT_PICTURES, told.arguments, request.owner, store)
        while True:
            try:
                return await self._made(told.laid(), request, key)
            except InvalidParameter as failure:
                if not told.without(failure):
                    raise

    async def _made(self, told: Laid, request: JobRequest, key: str | None) -> Job:
        values = chat_values(told.values)
        images: tuple[Image, ...] = ()
        if values.image:
            asset = await self._workbench.asset(values.image, request.owner)
            images = (Image(await self._workbench.read(asset), asset.mime),)
        return await self.submit(values.request(images), request, key, notes=told.notes)

    async def submit(
        self,
        asked: ChatRequest,
        schedule: JobRequest,
        key: str | None = None,
        *,
        turn: str = "",
        notes: Sequence[str] = (),
    ) -> Job:
        """Queue a chat; ``schedule`` says whose it is and when it may run, ``turn`` who takes turns for it. The job
        tells the ``notes`` among its warnings.

        It is known by its ``key`` as other jobs are.

        Raises:
            InvalidParameter, TooLarge: what no model takes, or a model that no server has.
            BackendUnavailable: no LLM server is set up, or ever answered.
            Conflict, Overloaded, StorageUnavailable: as `Workbench.submit`.
        """
        store = self._workbench.store
        # Without pictures there is nothing to wait for, and what was asked first is queued first.
        digests = await to_thread.run_sync(_digests, asked) if any(images_of(asked)) else []
        once = Idempotency(key, _fingerprint(asked, digests)) if key else None
        if once is not None and (found := await store.find(schedule.owner, CHAT, once)) is not None:
            return found
        new = await self._accepted(asked, schedule, digests)
        new = replace(new, turn=turn, warnings=(*notes, *new.warnings))
        job = await to_the_end(store.enqueue(new, once))
        self._workbench.notify()
        return job

    async def ask(
        self, key: str, asked: ChatRequest, on_event: Callable[[Event], object], *, owner: str = "local"
    ) -> Reply:
        """The reply to a chat, made as a job that outlives the caller: who asks with the same ``key`` gets the same.

        It takes turns with the owner's other jobs, behind them. One that failed before is asked again. A full queue and
        servers that are away are waited for.

        Raises:
            BridgeError: why there is no reply.
        """
        self._asking += 1
        try:
            job = await self._begun(key, asked, JobRequest(CHAT, owner=owner, priority=_BEHIND))
            told = Told(on_event)
            # Hundreds that ask at once look as often as a few.
            often = max(_LOOK_SECONDS, self._asking / _LOOKS_A_SECOND)
            async with aclosing(self._workbench.follow(job.id, owner, every=often)) as changes:
                async for job in changes:
                    told.see(job)
        except WorkbenchError as failure:
            kind = BadInput if isinstance(failure, BadRequest) else ServerError
            raise kind(failure.message, hint=failure.hint) from failure
        finally:
            self._asking -= 1
        if job.state is not JobState.SUCCEEDED:
            raise failure_of(job)
        return reply_of(job)

    async def cancel(self, prefix: str, owner: str = "local") -> None:
        """Stop what was asked with a key that begins so."""
        await self._workbench.cancel_all(owner, CHAT, prefix)

    async def _begun(self, key: str, asked: ChatRequest, schedule: JobRequest) -> Job:
        attempt = 1
        while True:
            try:
                once = key if attempt == 1 else f"{key}-{attempt}"
                job = await self.submit(asked, schedule, once, turn=f"{schedule.owner}, by the hundred")
            except (Overloaded, BackendUnavailable) as failure:
                if not self._servers:
                    raise
                await anyio.sleep(float(failure.details.get("retry_after", _WAIT_SECONDS)))
                continue
            if not job.state.terminal or job.state is JobState.SUCCEEDED:
                return job
            attempt += 1

    @property
    def _servers(self) -> Sequence[Member]:
        """The LLM servers that are set up."""
        members = self._workbench.pool.members
        return [member for member in members if isinstance(member.backend, LLMBackend) and not member.leaving]

    async def checked(self, asked: ChatRequest, schedule: JobRequest) -> Checked:
        """Who is asked. Raises InvalidParameter, TooLarge and BackendUnavailable as `submit`."""
        _check(asked)
        check_schedule(schedule, self._workbench.pool)
        if asked.schema is not None:
            try:
                await verify(asked.schema)
            except BridgeError as failure:
                raise InvalidParameter("schema", failure.message, hint=failure.hint) from None
        choice = await self._chosen(asked)
        auto = asked.model.partition(":")[0] == "auto"
        # One that was named without a server may run wherever it is.
        server = None if asked.model == choice.model else choice.server
        needs = needs_of_chat(choice.model, server) | {f"tag:{tag}" for tag in schedule.tags}
        return Checked(choice.model, choice.server, needs, choice.because if auto else "")

    async def _accepted(self, asked: ChatRequest, schedule: JobRequest, digests: Sequence[str]) -> NewJob:
        checked = await self.checked(asked, schedule)
        images = zip(images_of(asked), digests, strict=True)
        stored = [await self._stored(image, digest, schedule.owner) for image, digest in images]
        return NewJob(
            owner=schedule.owner,
            template=CHAT,
            style=None,
            bound=bound_chat(replace(asked, model=checked.model), stored),
            warnings=(checked.because,) if checked.because else (),
            priority=schedule.priority,
            model=checked.model,
            needs=checked.needs,
            expires_in=schedule.expires_in or self._workbench.settings.queue_expiry,
        )

    async def _stored(self, image: Image, digest: str, owner: str) -> str:
        """The asset of a picture; one that many chats show is stored once."""
        async with self._storing:
            known = self._assets.pop((owner, digest), None)
            asset = known or (await self._workbench.upload(image.data, owner)).id
            self._assets[owner, digest] = asset
            if len(self._assets) > _MOST_ASSETS:
                del self._assets[next(iter(self._assets))]
            return asset

    async def _chosen(self, asked: ChatRequest, parameter: str = "model") -> Choice:
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
            raise InvalidParameter(parameter, failure.message, hint=failure.hint) from None


def _check(asked: ChatRequest) -> None:
    """What is refused before anybody is asked."""
    if not any(message.text.strip() or message.images or message.tool_calls for message in asked.messages):
        raise InvalidParameter("prompt", "There is nothing to ask.", hint="Give a prompt.")
    if sum(len(message.text) for message in asked.messages) > _MOST_LETTERS:
        raise TooLarge(f"The messages are longer than {_MOST_LETTERS} characters.", hint="Shorten them.")
    if len(list(images_of(asked))) > _MOST_IMAGES:
        raise TooLarge(f"That is more than {_MOST_IMAGES} pictures.", hint="Ask in several turns.")


def _digests(asked: ChatRequest) -> list[str]:
    """What tells the pictures apart, in their order; slow for large ones."""
    return [hashlib.sha256(image.data).hexdigest() for image in images_of(asked)]


def _fingerprint(asked: ChatRequest, digests: Sequence[str]) -> str:
    told = {"chat": bound_chat(asked, digests).chat, "images": digests}
    return hashlib.sha256(to_json(told)).hexdigest()


def _bare(name: str) -> str:
    return name.partition("/")[2]
