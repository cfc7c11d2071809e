"""Tells chats that the tools changed or a job moved: over their session in the handshake era, over a bus later.

Owns who is to be told. A chat that cannot be told any more is forgotten, without a word, and whatever goes wrong over
one chat or one look goes wrong for nobody else.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread
from anyio.abc import TaskGroup
from mcp.server.session import ServerSession
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    EmptyResult,
    SubscribeRequestParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
    UnsubscribeRequestParams,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from comfy_mcp.errors import WorkbenchError
from comfy_mcp.server.callers import Context, owner_of
from comfy_mcp.tasks import background
from comfy_mcp.tools.registry import Toolbox

if TYPE_CHECKING:
    from comfy_mcp.workbench import Workbench

__all__ = ["Changes"]

log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_MODELS_SECONDS = 5.0
_SEND_SECONDS = 5.0
_BETWEEN_SECONDS = 0.5
_MOST_SESSIONS, _MOST_LISTENING = 500, 500
_MOST_FOLLOWED, _MOST_OF_ONE = 200, 20
_JOB = "job://"

Tell = Callable[[str], Awaitable[None]]


class Changes:
    """`watch` must run for anybody to be told anything."""

    def __init__(self, open_tools: Callable[[], Awaitable[Toolbox]]) -> None:
        self._open_tools = open_tools
        self._buses: set[InMemorySubscriptionBus] = set()
        self._sessions: OrderedDict[str, ServerSession] = OrderedDict()
        self._followed: dict[tuple[str, str], anyio.CancelScope] = {}
        self._following = 0
        self._somebody = False
        self._tasks: TaskGroup | None = None

    async def watch(self, ready: anyio.Event | None = None) -> None:
        """Look for changes until it is cancelled; nothing is looked for before ``ready``."""
        if ready is not None:
            await ready.wait()
        tools = await self._open_tools()
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            tasks.start_soon(self._watch_models, tools.workbench)
            before = b""
            while True:
                try:
                    # In a thread: with hundreds of templates it takes longer than anybody may keep the event loop.
                    now = await to_thread.run_sync(tools.fingerprint)
                    if before not in (b"", now):
                        await self._tell_all(tasks)
                    before = now
                except Exception:
                    log.exception("The tools are looked at again in %s s.", _LOOK_SECONDS)
                await anyio.sleep(_LOOK_SECONDS)

    async def _tell_all(self, tasks: TaskGroup) -> None:
        for bus in list(self._buses):
            await bus.publish(ToolsListChanged())
        for name in list(self._sessions):
            tasks.start_soon(self._tell, name, ServerSession.send_tool_list_changed)

    def meet(self, ctx: Context) -> None:
        """A chat is there: it is told when the tools change."""
        self._somebody = True
        if (name := _session_name(ctx)) is not None:
            self._sessions[name] = ctx.session
            self._sessions.move_to_end(name)
            while len(self._sessions) > _MOST_SESSIONS:
                self.forget(next(iter(self._sessions)))

    def forget(self, name: str) -> None:
        """The session of this name is over, and with it what it followed."""
        self._sessions.pop(name, None)
        for (session, _), scope in list(self._followed.items()):
            if session == name:
                scope.cancel()

    async def listen(self, ctx: Context, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
        """The later era: one call is one subscription, for as long as it stands."""
        self._somebody = True
        if len(self._buses) >= _MOST_LISTENING:
            raise MCPError(INTERNAL_ERROR, "Too many chats are listening.")
        tools = await self._open_tools()
        owner = owner_of(ctx)
        bus = InMemorySubscriptionBus()

        async def publish(uri: str) -> None:
            await bus.publish(ResourceUpdated(uri=uri))

        self._buses.add(bus)
        try:
            async with background() as tasks:
                for uri in dict.fromkeys(map(str, params.notifications.resource_subscriptions or [])):
                    self._may_follow(len(params.notifications.resource_subscriptions or []))
                    tasks.start_soon(self._follow, tools.workbench, uri, owner, publish)
                return await ListenHandler(bus)(ctx, params)
        finally:
            self._buses.discard(bus)

    async def subscribe(self, ctx: Context, params: SubscribeRequestParams) -> EmptyResult:
        """The handshake era: a job is followed until it ends, or the chat goes."""
        tools = await self._open_tools()
        uri, name = str(params.uri), _session_name(ctx)
        if self._tasks is not None and name is not None and (name, uri) not in self._followed:
            self.meet(ctx)
            self._may_follow(1 + sum(session == name for session, _ in self._followed))
            scope = self._followed[name, uri] = anyio.CancelScope()
            owner = owner_of(ctx)
            self._tasks.start_soon(self._follow_for, name, uri, owner, scope, tools.workbench)
        return EmptyResult()

    async def unsubscribe(self, ctx: Context, params: UnsubscribeRequestParams) -> EmptyResult:
        if (scope := self._followed.pop((_session_name(ctx) or "", str(params.uri)), None)) is not None:
            scope.cancel()
        return EmptyResult()

    def _may_follow(self, own: int) -> None:
        if self._following >= _MOST_FOLLOWED or own > _MOST_OF_ONE:
            raise MCPError(INTERNAL_ERROR, "Too many jobs are followed: read them instead.")

    async def _follow_for(
        self, name: str, uri: str, owner: str, scope: anyio.CancelScope, workbench: Workbench
    ) -> None:
        async def tell(told: str) -> None:
            await self._tell(name, lambda session: session.send_resource_updated(told))

        try:
            with scope:
                await self._follow(workbench, uri, owner, tell)
        finally:
            if self._followed.get((name, uri)) is scope:
                del self._followed[name, uri]

    async def _follow(self, workbench: Workbench, uri: str, owner: str, tell: Tell) -> None:
        """Tell of every change of a job of this owner, now and then; other resources do not change."""
        if not uri.startswith(_JOB):
            return
        self._following += 1
        try:
            async with aclosing(workbench.follow(uri.removeprefix(_JOB), owner)) as changes:
                last = 0.0
                async for job in changes:
                    if job.state.terminal or anyio.current_time() - last > _BETWEEN_SECONDS:
                        last = anyio.current_time()
                        await tell(uri)
        except WorkbenchError:
            # There is no such job: nothing will ever be told of it.
            return
        except Exception:
            log.exception("A job is not followed any more.")
        finally:
            self._following -= 1

    async def _tell(self, name: str, send: Callable[[ServerSession], Awaitable[None]]) -> None:
        session = self._sessions.get(name)
        if session is None:
            return
        try:
            with anyio.fail_after(_SEND_SECONDS):
                await send(session)
        except Exception:
            log.debug("A chat cannot be told of changes any more.", exc_info=True)
            if self._sessions.get(name) is session:
                self.forget(name)

    async def _watch_models(self, workbench: Workbench) -> None:
        """Ask the backends now and then what they have, as long as somebody might want to know."""
        while True:
            await anyio.sleep(_MODELS_SECONDS)
            if self._somebody:
                try:
                    await workbench.pool.object_infos()
                except WorkbenchError:
                    continue
                except Exception:
                    log.exception("What the backends have is asked again in %s s.", _MODELS_SECONDS)


def _session_name(ctx: Context) -> str | None:
    """What a session goes by; None in the era that has none. Over standard input there is but one."""
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return None
    if ctx.request is None:
        return "stdio"
    return ctx.request.headers.get("mcp-session-id")
