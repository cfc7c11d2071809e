"""The MCP server: list the tools, run one, and let nothing but our own errors out.

Owns the translation between the protocol and the tools. Transports are beside it; tools are below.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import mcp_types as types
from mcp.server.context import CallNext, HandlerResult
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.server.models import InitializationOptions
from mcp.shared.exceptions import MCPError

import comfy_mcp
from comfy_mcp.apps import MIME
from comfy_mcp.content import error_result
from comfy_mcp.errors import InternalError, InvalidParameter, WorkbenchError
from comfy_mcp.jobs import Job
from comfy_mcp.server.asking import answered_before, ask_for
from comfy_mcp.server.callers import APPS, Addresses, Context, caller_of, shows_apps
from comfy_mcp.server.changes import Changes
from comfy_mcp.server.prompts import Prompts
from comfy_mcp.server.resources import Resources
from comfy_mcp.tools.registry import Toolbox

__all__ = ["Addresses", "WorkbenchServer"]

log = logging.getLogger(__name__)

_MOST_COMPLETIONS = 100
_DRAWING = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<rect width="32" height="32" rx="7" fill="#334455"/>
<path d="M6 24 13 13l5 7 3-4 5 8z" fill="#ffcc66"/><circle cx="22" cy="10" r="3" fill="#ffcc66"/></svg>"""
# In base64: a drawing as it is written is no address by the letter of the standard.
_ICON = f"data:image/svg+xml;base64,{base64.b64encode(_DRAWING.encode()).decode()}"
_INSTRUCTIONS = (
    "Tools that paint with the person's own ComfyUI. Every parameter but the prompt has a good default: leave out what "
    "the person did not ask for. An answer holds the picture and a job id; give that id as `image` to change the "
    "picture further. If a picture takes long the answer holds only the job id: call get_result with it."
)


class WorkbenchServer(Server[Any]):
    """A server for any transport and any number of connections.

    The handshake needs no tools, so ``open_tools`` is awaited only by what does. ``standing`` is what the person set
    in the variables of this process. ``changes.watch`` must run for chats to be told of changes.
    """

    def __init__(
        self,
        open_tools: Callable[[], Awaitable[Toolbox]],
        addresses: Addresses,
        standing: Mapping[str, str] | None = None,
    ) -> None:
        self._open_tools, self._addresses, self._standing = open_tools, addresses, standing or {}
        self._opened: Toolbox | None = None
        self.changes = Changes(self._tools)
        self._resources, self._prompts = Resources(self._tools), Prompts(self._tools)
        super().__init__(
            "comfyui-workbench",
            version=comfy_mcp.__version__,
            title="ComfyUI workbench",
            instructions=_INSTRUCTIONS,
            icons=[types.Icon(src=_ICON, mime_type="image/svg+xml", sizes=["any"])],
            get_tool_input_schema=self._schema,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._resources.list,
            on_list_resource_templates=self._resources.templates,
            on_read_resource=self._resources.read,
            on_subscribe_resource=self.changes.subscribe,
            on_unsubscribe_resource=self.changes.unsubscribe,
            on_subscriptions_listen=self.changes.listen,
            on_list_prompts=self._prompts.list,
            on_get_prompt=self._prompts.get,
            on_completion=self._complete,
        )
        self.extensions[APPS] = {"mimeTypes": [MIME]}
        self.middleware.append(self._met)

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> InitializationOptions:
        """As the SDK makes them, and with the promise that a changed list of tools is told of."""
        told = notification_options or NotificationOptions(tools_changed=True)
        return super().create_initialization_options(told, experimental_capabilities, extensions)

    async def _met(self, ctx: Context, call_next: CallNext) -> HandlerResult:
        """Whoever asks anything, also in a session that outlived a restart, is told of changes from then on."""
        self.changes.meet(ctx)
        return await call_next(ctx)

    async def _tools(self) -> Toolbox:
        if self._opened is None:
            self._opened = await self._open_tools()
        return self._opened

    async def _list_tools(self, ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        tools, apps = await self._tools(), shows_apps(ctx)
        return types.ListToolsResult(tools=[tool.listed(apps=apps) for tool in tools.listed(apps=apps)])

    async def _call_tool(
        self, ctx: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        tools = await self._tools()
        tool = tools.find(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"There is no tool {params.name[:64]!r}.")
        caller = caller_of(tools.workbench.settings, self._addresses, ctx, self._standing)
        caller = replace(caller, on_change=_reporter(ctx))
        arguments = {**(params.arguments or {}), **answered_before(ctx)}
        try:
            try:
                return await tool.run(tools.workbench, caller, arguments)
            except InvalidParameter as failure:
                given = await ask_for(ctx, tool, arguments, failure)
                if given is None:
                    raise
            if isinstance(given, types.InputRequiredResult):
                return given
            return await tool.run(tools.workbench, caller, {**arguments, **given})
        except WorkbenchError as failure:
            return error_result(failure)
        except Exception:
            log.exception("The tool %s hit a defect.", tool.name)
            return error_result(InternalError())

    def _schema(self, name: str) -> Mapping[str, Any] | None:
        tool = self._opened.find(name) if self._opened else None
        return None if tool is None else tool.schema

    async def _complete(self, ctx: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
        begun = params.argument.value
        if isinstance(params.ref, types.PromptReference):
            found = await self._prompts.values(ctx, params.ref.name, params.argument.name, begun)
        else:
            found = await self._resources.names(ctx, str(params.ref.uri), begun)
        shown = list(found[:_MOST_COMPLETIONS])
        return types.CompleteResult(
            completion=types.Completion(values=shown, total=len(found), has_more=len(found) > len(shown))
        )


def _reporter(ctx: Context) -> Callable[[Job], Awaitable[None]]:
    """Tells the chat how far a job is; a no-op in the SDK for callers that sent no progress token."""
    reported = -1.0

    async def report(job: Job) -> None:
        nonlocal reported
        progress = job.progress
        # The protocol wants every report to be larger than the one before.
        if progress.fraction > reported:
            reported = progress.fraction
            step = f"step {progress.value}/{progress.maximum}" if progress.maximum > 1 else str(job.state)
            await ctx.session.report_progress(progress.fraction, 1.0, step)

    return report
