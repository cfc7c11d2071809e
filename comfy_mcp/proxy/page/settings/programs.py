"""The routes for programs as a page: read from the application's own description, each with an example to copy."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from anyio import to_thread
from fastapi import APIRouter, Request, Response

from comfy_mcp.proxy.page.settings.clients import address_of
from comfy_mcp.proxy.page.settings.tabs import shown
from comfy_mcp.snippets import PLACEHOLDER
from comfy_mcp.ui import to_say
from comfy_mcp.workbench import Workbench

__all__ = ["add_programs"]

_METHODS = ("get", "post", "put", "patch", "delete")
_FAMILIES = (
    ("/api/v1/", to_say("This workbench's own")),
    ("/v1/", to_say("As OpenAI has them")),
    ("/sdapi/", to_say("As A1111 has them")),
    ("/comfyui/", to_say("As ComfyUI has them")),
)


@dataclass(frozen=True, slots=True)
class Parameter:
    """``where`` it is sent: path, query or header."""

    name: str
    where: str
    required: bool
    about: str


@dataclass(frozen=True, slots=True)
class Operation:
    """A route, with the command that calls it."""

    id: str
    method: str
    path: str
    about: str
    parameters: tuple[Parameter, ...]
    curl: str

    @property
    def brief(self) -> str:
        """Its first sentence, or what fits a line of it."""
        return self.about.partition("\n")[0].partition(". ")[0].rstrip(".")


def add_programs(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""

    @page.get("/settings/api")
    async def show(request: Request) -> Response:
        settings = workbench.settings
        needed = await workbench.tokens.demanded(settings)
        address = address_of(request, settings, token=PLACEHOLDER if needed else None)
        described = await to_thread.run_sync(request.app.openapi)
        families = _families(described, address.base, address.token)
        return shown(request, "api", families=families, address=address)


def _families(described: Mapping[str, Any], base: str, token: str | None) -> list[tuple[str, list[Operation]]]:
    operations = [
        _operation(described, path, method, told, (base, token))
        for path, methods in described["paths"].items()
        for method, told in methods.items()
        if method in _METHODS
    ]
    found = [(title, [each for each in operations if each.path.startswith(start)]) for start, title in _FAMILIES]
    return [(title, listed) for title, listed in found if listed]


def _operation(
    described: Mapping[str, Any], path: str, method: str, told: Mapping[str, Any], reached: tuple[str, str | None]
) -> Operation:
    parameters = tuple(
        Parameter(each["name"], each["in"], bool(each.get("required")), str(each.get("description") or ""))
        for each in told.get("parameters", ())
    )
    content = cast("dict[str, Any]", told.get("requestBody", {}).get("content", {}))
    about = str(told.get("description") or told.get("summary") or "")
    mark = f"{method}-{path.strip('/').replace('/', '-').translate(_PLAIN)}"
    return Operation(mark, method.upper(), path, about, parameters, _curl(described, method, path, content, reached))


_PLAIN = str.maketrans("", "", "{}.:")


def _curl(
    described: Mapping[str, Any], method: str, path: str, content: Mapping[str, Any], reached: tuple[str, str | None]
) -> str:
    base, token = reached
    parts = ["curl"] if method == "get" else ["curl", "-X", method.upper()]
    lines = [" ".join([*parts, shlex.quote(base + path)])]
    if token is not None:
        lines.append(f"-H 'Authorization: Bearer {token}'")
    if "application/json" in content:
        example = _example(described, content["application/json"])
        lines += ["-H 'Content-Type: application/json'", f"-d {shlex.quote(json.dumps(example, ensure_ascii=False))}"]
    elif "multipart/form-data" in content:
        lines.append("-F file=@picture.png")
    return " \\\n  ".join(lines)


def _example(described: Mapping[str, Any], media: Mapping[str, Any]) -> Any:
    if "example" in media:
        return media["example"]
    return _example_of(described, media.get("schema", {}), 0)


_DEEPEST = 6
_OF_TYPE: Mapping[str, Any] = {"string": "…", "integer": 1, "number": 1, "boolean": True}


def _example_of(described: Mapping[str, Any], schema: Mapping[str, Any], depth: int) -> Any:
    """What fits a schema: its own example, or the least that it asks for."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        schema = described.get("components", {}).get("schemas", {}).get(name, {})
    for key in ("examples", "example", "const", "default", "enum"):
        if schema.get(key) is not None:
            return schema[key][0] if key in ("examples", "enum") else schema[key]
    if depth < _DEEPEST and (options := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")):
        return _example_of(described, options[0], depth + 1)
    kind = schema.get("type")
    if depth < _DEEPEST and kind == "object":
        wanted = schema.get("required", ())
        fields = schema.get("properties", {})
        return {name: _example_of(described, fields[name], depth + 1) for name in wanted if name in fields}
    if depth < _DEEPEST and kind == "array":
        return [_example_of(described, schema.get("items", {}), depth + 1)]
    return _OF_TYPE.get(str(kind), {})
