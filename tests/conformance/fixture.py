"""The tools, resources and prompts that the official conformance suite calls by name, behind our own transport.

Started as `python -m tests.conformance.fixture`; prints its address. What the suite then tests is `Sessions` and the
guard in front of it: every byte between the client and these handlers goes through them.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import mcp_types as types
import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from starlette.applications import Starlette
from starlette.routing import Mount

from comfy_mcp.proxy.guard import Guard, Rules
from comfy_mcp.server.sessions import Sessions
from comfy_mcp.signing import Signer

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg=="
SOUND = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA="

Context = ServerRequestContext[Any]
Answer = types.CallToolResult | types.InputRequiredResult
TOOLS: dict[str, tuple[str, Callable[[Context, dict[str, Any]], Awaitable[Answer]]]] = {}


def tool(description: str) -> Callable[[Callable[[Context, dict[str, Any]], Awaitable[Answer]]], None]:
    def keep(run: Callable[[Context, dict[str, Any]], Awaitable[Answer]]) -> None:
        TOOLS[run.__name__] = (description, run)

    return keep


def text(value: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=value)])


def embedded(uri: str, mime: str, value: str) -> types.EmbeddedResource:
    return types.EmbeddedResource(resource=types.TextResourceContents(uri=uri, mime_type=mime, text=value))


@tool("One text.")
async def test_simple_text(ctx: Context, arguments: dict[str, Any]) -> Answer:
    return text("This is a simple text response for testing.")


@tool("One picture.")
async def test_image_content(ctx: Context, arguments: dict[str, Any]) -> Answer:
    return types.CallToolResult(content=[types.ImageContent(data=PIXEL, mime_type="image/png")])


@tool("One sound.")
async def test_audio_content(ctx: Context, arguments: dict[str, Any]) -> Answer:
    return types.CallToolResult(content=[types.AudioContent(data=SOUND, mime_type="audio/wav")])


@tool("One embedded resource.")
async def test_embedded_resource(ctx: Context, arguments: dict[str, Any]) -> Answer:
    return types.CallToolResult(
        content=[embedded("test://embedded-resource", "text/plain", "This is an embedded resource content.")]
    )


@tool("Text, picture and resource.")
async def test_multiple_content_types(ctx: Context, arguments: dict[str, Any]) -> Answer:
    return types.CallToolResult(
        content=[
            types.TextContent(text="Multiple content types test:"),
            types.ImageContent(data=PIXEL, mime_type="image/png"),
            embedded("test://mixed-content-resource", "application/json", '{"test": "data", "value": 123}'),
        ]
    )


@tool("Reports progress three times.")
async def test_tool_with_progress(ctx: Context, arguments: dict[str, Any]) -> Answer:
    for step in (0, 50, 100):
        await ctx.session.report_progress(step, 100, f"Completed step {step} of 100")
        await anyio.sleep(0.05)
    return text(str(ctx.meta.get("progress_token") if ctx.meta else 0))


@tool("Always fails.")
async def test_error_handling(ctx: Context, arguments: dict[str, Any]) -> Answer:
    return types.CallToolResult(
        content=[types.TextContent(text="This tool intentionally returns an error for testing")], is_error=True
    )


@tool("Asks the person a question.")
async def test_elicitation(ctx: Context, arguments: dict[str, Any]) -> Answer:
    schema = {"type": "object", "properties": {"response": {"type": "string", "description": "Answer"}}}
    return await _elicit(ctx, str(arguments.get("message", "")), schema, "User response")


@tool("Asks with defaults of every simple type.")
async def test_elicitation_sep1034_defaults(ctx: Context, arguments: dict[str, Any]) -> Answer:
    properties = {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": True},
    }
    return await _elicit(ctx, "Defaults", {"type": "object", "properties": properties}, "Elicitation result")


@tool("Asks with every form of choice.")
async def test_elicitation_sep1330_enums(ctx: Context, arguments: dict[str, Any]) -> Answer:
    titled = [{"const": f"value{n}", "title": f"Title {n}"} for n in (1, 2, 3)]
    plain = ["option1", "option2", "option3"]
    names = ["Option One", "Option Two", "Option Three"]
    properties = {
        "untitledSingle": {"type": "string", "enum": plain},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {"type": "string", "enum": plain, "enumNames": names},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    }
    return await _elicit(ctx, "Choices", {"type": "object", "properties": properties}, "Elicitation completed")


async def _elicit(ctx: Context, message: str, schema: dict[str, Any], said: str) -> Answer:
    result = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
    return text(f"{said}: action={result.action}, content={result.content}")


async def list_tools(ctx: Context, params: Any) -> types.ListToolsResult:
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    return types.ListToolsResult(
        tools=[types.Tool(name=name, description=told, input_schema=schema) for name, (told, _) in TOOLS.items()]
    )


async def call_tool(ctx: Context, params: types.CallToolRequestParams) -> Answer:
    if params.name not in TOOLS:
        raise MCPError(types.INVALID_PARAMS, f"There is no tool {params.name!r}.")
    return await TOOLS[params.name][1](ctx, params.arguments or {})


async def list_resources(ctx: Context, params: Any) -> types.ListResourcesResult:
    return types.ListResourcesResult(
        resources=[
            types.Resource(uri="test://static-text", name="text", mime_type="text/plain"),
            types.Resource(uri="test://static-binary", name="binary", mime_type="image/png"),
        ]
    )


async def list_resource_templates(ctx: Context, params: Any) -> types.ListResourceTemplatesResult:
    template = types.ResourceTemplate(uri_template="test://template/{id}/data", name="template")
    return types.ListResourceTemplatesResult(resource_templates=[template])


async def read_resource(ctx: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    uri = str(params.uri)
    if uri == "test://static-binary":
        return types.ReadResourceResult(
            contents=[types.BlobResourceContents(uri=uri, mime_type="image/png", blob=PIXEL)]
        )
    if uri == "test://static-text":
        told = types.TextResourceContents(
            uri=uri, mime_type="text/plain", text="This is the content of the static text resource."
        )
        return types.ReadResourceResult(contents=[told])
    if uri.startswith("test://template/"):
        name = uri.split("/")[3]
        value = f'{{"id": "{name}", "templateTest": true, "data": "Data for ID: {name}"}}'
        return types.ReadResourceResult(
            contents=[types.TextResourceContents(uri=uri, mime_type="application/json", text=value)]
        )
    raise MCPError(types.INVALID_PARAMS, "Resource not found", {"uri": uri})


async def list_prompts(ctx: Context, params: Any) -> types.ListPromptsResult:
    arguments = [types.PromptArgument(name=f"arg{n}", description=f"Argument {n}", required=True) for n in (1, 2)]
    uri = [types.PromptArgument(name="resourceUri", description="Address", required=True)]
    return types.ListPromptsResult(
        prompts=[
            types.Prompt(name="test_simple_prompt", description="Simple"),
            types.Prompt(name="test_prompt_with_arguments", description="Arguments", arguments=arguments),
            types.Prompt(name="test_prompt_with_embedded_resource", description="Resource", arguments=uri),
            types.Prompt(name="test_prompt_with_image", description="Picture"),
        ]
    )


PROMPTS = (
    "test_simple_prompt",
    "test_prompt_with_arguments",
    "test_prompt_with_embedded_resource",
    "test_prompt_with_image",
)


async def get_prompt(ctx: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
    given = params.arguments or {}
    if params.name not in PROMPTS:
        raise MCPError(types.INVALID_PARAMS, f"There is no prompt {params.name!r}.")
    contents: dict[str, list[types.ContentBlock]] = {
        "test_simple_prompt": [types.TextContent(text="This is a simple prompt for testing.")],
        "test_prompt_with_arguments": [
            types.TextContent(text=f"Prompt with arguments: arg1='{given.get('arg1')}', arg2='{given.get('arg2')}'")
        ],
        "test_prompt_with_embedded_resource": [
            embedded(given.get("resourceUri", "test://x"), "text/plain", "Embedded resource content for testing."),
            types.TextContent(text="Please process the embedded resource above."),
        ],
        "test_prompt_with_image": [
            types.ImageContent(data=PIXEL, mime_type="image/png"),
            types.TextContent(text="Please analyze the image above."),
        ],
    }
    return types.GetPromptResult(
        messages=[types.PromptMessage(role="user", content=block) for block in contents[params.name]]
    )


async def complete(ctx: Context, params: types.CompleteRequestParams) -> types.CompleteResult:
    return types.CompleteResult(completion=types.Completion(values=[], total=0, has_more=False))


async def nothing(ctx: Context, params: Any) -> types.EmptyResult:
    return types.EmptyResult()


def fixture_server() -> Server[Any]:
    return Server(
        "conformance",
        version="1",
        on_list_tools=list_tools,
        on_call_tool=call_tool,
        on_list_resources=list_resources,
        on_list_resource_templates=list_resource_templates,
        on_read_resource=read_resource,
        on_subscribe_resource=nothing,
        on_unsubscribe_resource=nothing,
        on_list_prompts=list_prompts,
        on_get_prompt=get_prompt,
        on_completion=complete,
    )


async def main() -> None:
    sessions = Sessions(fixture_server(), Signer(secrets.token_bytes(32)), max_body=2**20)
    inner = Starlette(routes=[Mount("/", app=sessions)], lifespan=lambda app: sessions.run())
    app = Guard(inner, Rules(), lambda scope: False)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        print(f"http://127.0.0.1:{listener.getsockname()[1]}/mcp", flush=True)  # noqa: T201 - the address is the product
        await uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none")).serve([listener])


if __name__ == "__main__":
    anyio.run(main)
