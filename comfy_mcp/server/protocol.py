"""The MCP server: list the tools, run one, and let nothing but our own errors out.

Owns the translation between the protocol and the tools. Transports are beside it; tools are below.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from starlette.requests import Request

import comfy_mcp
from comfy_mcp.content import Budget, error_result
from comfy_mcp.errors import InternalError, WorkbenchError
from comfy_mcp.jobs import Asset, Job
from comfy_mcp.tools.registry import Caller, Tool, Toolbox

__all__ = ["Link", "create_server"]

log = logging.getLogger(__name__)

Context = ServerRequestContext[Any]
Link = Callable[[Asset, Request | None], str | None]
"""Where a browser finds a picture, given the HTTP request that asked, if one did; None when nothing listens."""

_INSTRUCTIONS = (
    "Tools that paint with the person's own ComfyUI. Every parameter but the prompt has a good default: leave out what "
    "the person did not ask for. An answer holds the picture and a job id; give that id as `image` to change the "
    "picture further. If a picture takes long the answer holds only the job id: call get_result with it."
)


def create_server(open_tools: Callable[[], Awaitable[Toolbox]], link: Link) -> Server[Any]:
    """A server for any transport and any number of connections.

    The handshake needs no tools, so ``open_tools`` is awaited only by what does.
    """
    opened: list[Toolbox] = []

    async def all_tools() -> Toolbox:
        if not opened:
            opened.append(await open_tools())
        return opened[0]

    async def list_tools(ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListToolsResult:
        return types.ListToolsResult(tools=[tool.listed for tool in (await all_tools()).listed()])

    async def call_tool(ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        tools = await all_tools()
        tool = tools.find(params.name)
        if tool is None:
            raise MCPError(types.INVALID_PARAMS, f"There is no tool {params.name[:64]!r}.")
        return await _answer(tools, tool, _caller(tools, link, ctx), params.arguments or {})

    def schema(name: str) -> Mapping[str, Any] | None:
        tool = opened[0].find(name) if opened else None
        return None if tool is None else tool.schema

    return Server(
        "comfyui-workbench",
        version=comfy_mcp.__version__,
        title="ComfyUI workbench",
        instructions=_INSTRUCTIONS,
        get_tool_input_schema=schema,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def _answer(tools: Toolbox, tool: Tool, caller: Caller, arguments: Mapping[str, Any]) -> types.CallToolResult:
    try:
        return await tool.run(tools.workbench, caller, arguments)
    except WorkbenchError as failure:
        return error_result(failure)
    except Exception:
        log.exception("The tool %s hit a defect.", tool.name)
        return error_result(InternalError())


def _caller(tools: Toolbox, link: Link, ctx: Context) -> Caller:
    settings = tools.workbench.settings
    inline = settings.inline_bytes if settings.inline_images == "auto" else 0
    budget = Budget(inline, lambda asset: link(asset, ctx.request))
    return Caller(owner="local", wait=settings.wait, budget=budget, on_change=_reporter(ctx))


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
