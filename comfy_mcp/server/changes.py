"""Tells chats that the tools changed or a job moved: over their session in the handshake era, over a bus later.

Owns who is to be told. A chat that cannot be told any more is forgotten, without a word.
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
from mcp_types import (
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
_MOST_SESSIONS, _MOST_FOLLOWED = 500, 200
_JOB = "job://"


class Changes:
    """`watch` must run for anybody to be told anything."""

    def __init__(self, open_tools: Callable[[], Awaitable[Toolbox]]) -> None:
        self._open_tools = open_tools
        self._bus = InMemorySubscriptionBus()
        self._listening = ListenHandler(self._bus)
        self._sessions: OrderedDict[str, ServerSession] = OrderedDict()
        self._followed: dict[tuple[str, str], anyio.CancelScope] = {}
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
            before = await to_thread.run_sync(tools.fingerprint)
            while True:
                await anyio.sleep(_LOOK_SECONDS)
                # In a thread: with hundreds of templates it takes longer than anybody may keep the event loop.
                now = await to_thread.run_sync(tools.fingerprint)
                if now != before:
                    before = now
                    await self._bus.publish(ToolsListChanged())
                    for name in list(self._sessions):
                        await self._tell(name, ServerSession.send_tool_list_changed)

    def meet(self, ctx: Context) -> None:
        """A chat uses the tools: it is told when they change."""
        self._somebody = True
        if (name := _session_name(ctx)) is not None:
            self._sessions[name] = ctx.session
            self._sessions.move_to_end(name)
            while len(self._sessions) > _MOST_SESSIONS:
                self._sessions.popitem(last=False)

    async def listen(self, ctx: Context, params: SubscriptionsListenRequestParams) -> SubscriptionsListenResult:
        """The later era: one call is one subscription, for as long as it stands."""
        self._somebody = True
        tools = await self._open_tools()
        async with background() as tasks:
            for uri in (params.notifications.resource_subscriptions or [])[:_MOST_FOLLOWED]:
                tasks.start_soon(self._follow, tools.workbench, str(uri), _owner(tools, ctx), self._publish)
            return await self._listening(ctx, params)

    async def subscribe(self, ctx: Context, params: SubscribeRequestParams) -> EmptyResult:
        """The handshake era: a job is followed until it ends, or the chat goes."""
        uri, name = str(params.uri), _session_name(ctx)
        room = len(self._followed) < _MOST_FOLLOWED and (name, uri) not in self._followed
        if self._tasks is not None and name is not None and room:
            self.meet(ctx)
            self._tasks.start_soon(self._follow_for, name, uri, _owner(await self._open_tools(), ctx))
        return EmptyResult()

    async def unsubscribe(self, ctx: Context, params: UnsubscribeRequestParams) -> EmptyResult:
        if (scope := self._followed.get((_session_name(ctx) or "", str(params.uri)))) is not None:
            scope.cancel()
        return EmptyResult()

    async def _follow_for(self, name: str, uri: str, owner: str) -> None:
        async def tell(told: str) -> None:
            await self._tell(name, lambda session: session.send_resource_updated(told))

        tools = await self._open_tools()
        with anyio.CancelScope() as scope:
            self._followed[name, uri] = scope
            try:
                await self._follow(tools.workbench, uri, owner, tell)
            finally:
                del self._followed[name, uri]

    async def _follow(self, workbench: Workbench, uri: str, owner: str, tell: Callable[[str], Awaitable[None]]) -> None:
        """Tell of every change of a job, now and then; other resources do not change."""
        if not uri.startswith(_JOB):
            return
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

    async def _publish(self, uri: str) -> None:
        await self._bus.publish(ResourceUpdated(uri=uri))

    async def _tell(self, name: str, send: Callable[[ServerSession], Awaitable[None]]) -> None:
        session = self._sessions.get(name)
        if session is None:
            return
        try:
            with anyio.fail_after(_SEND_SECONDS):
                await send(session)
        except Exception:
            log.debug("A chat cannot be told of changes any more.", exc_info=True)
            self._sessions.pop(name, None)

    async def _watch_models(self, workbench: Workbench) -> None:
        """Ask the backends now and then what they have, as long as somebody might want to know."""
        while True:
            await anyio.sleep(_MODELS_SECONDS)
            if self._somebody:
                try:
                    await workbench.pool.object_infos()
                except WorkbenchError:
                    continue


def _owner(tools: Toolbox, ctx: Context) -> str:
    return owner_of(tools.workbench.settings, ctx)


def _session_name(ctx: Context) -> str | None:
    """What a session goes by; None in the era that has none. Over standard input there is but one."""
    if ctx.protocol_version in MODERN_PROTOCOL_VERSIONS:
        return None
    if ctx.request is None:
        return "stdio"
    return ctx.request.headers.get("mcp-session-id")
