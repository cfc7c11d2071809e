"""A stand-in for the workbench behind the page: its tools and resources by the same contract, without ComfyUI.

Jobs need no engine here: how far one is follows from the time since it began, so many seconds a step.
"""

from __future__ import annotations

import base64
import colorsys
import io
import json
import random
import secrets
import socket
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import mcp_types as types
import uvicorn
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError
from PIL import Image, ImageDraw
from starlette.applications import Starlette
from starlette.routing import Mount

from comfy_mcp.apps import MIME, PAGE_URI, page
from comfy_mcp.server.sessions import Sessions
from comfy_mcp.signing import Signer

__all__ = ["Stand", "running_stand"]

Context = ServerRequestContext[Any]
SECONDS_A_STEP = 0.1
BLOCKS = 2
STYLES = [("cinematic", "Cinematic"), ("ink_wash", "Ink wash"), ("photographic", "Photograph")]
SAMPLERS = [
    *("euler", "euler_ancestral", "heun", "dpm_2", "dpm_2_ancestral", "lms", "dpm_fast", "dpmpp_2s_ancestral"),
    *("dpmpp_sde", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_3m_sde", "ddim", "uni_pc", "lcm"),
]
SCHEDULERS = ["normal", "karras", "exponential", "sgm_uniform", "simple", "beta"]


def parameter(name: str, kind: str, label: str, told: str = "", **more: Any) -> dict[str, Any]:
    plain: dict[str, Any] = dict.fromkeys(("default", "min", "max", "step", "choices"))
    plain |= {"group": "", "advanced": False, "required": False}
    return {"name": name, "type": kind, "label": label, "help": told, **plain, **more}


SAMPLING = [
    parameter("seed", "seed", "Seed", "Same seed, same picture. -1: random.", group="Sampling", min=0),
    parameter("steps", "int", "Steps", "More are finer and slower.", default=25, min=1, max=150, group="Sampling"),
    parameter(
        *("cfg", "float", "CFG", "How closely to follow the prompt."),
        default=6.0,
        min=0.0,
        max=30.0,
        step=0.1,
        group="Sampling",
    ),
    parameter(
        *("sampler", "enum", "Sampler", "Sampling method."),
        default="dpmpp_2m",
        choices=SAMPLERS,
        group="Sampling",
        advanced=True,
    ),
    parameter(
        *("scheduler", "enum", "Scheduler", "Noise schedule."),
        default="karras",
        choices=SCHEDULERS,
        group="Sampling",
        advanced=True,
    ),
]
SIZE: dict[str, Any] = {"default": 768, "min": 64, "max": 4096, "step": 8, "group": "Size"}
PROMPTS = [
    parameter("prompt", "text", "Prompt", "What the picture shows.", required=True),
    parameter("negative", "text", "Negative prompt", "What it must not show.", default=""),
]
TEMPLATES: dict[str, tuple[str, str, list[dict[str, Any]]]] = {
    "txt2img": (
        "Text to image",
        "Paint a new picture from a text prompt.",
        [
            *PROMPTS,
            parameter("width", "int", "Width", "Pixels: 1024 for SDXL, 512 for SD 1.5.", **SIZE),
            parameter("height", "int", "Height", "Pixels.", **{**SIZE, "default": 512}),
            parameter("batch", "int", "Batch", "Pictures at once.", default=1, min=1, max=16, group="Size"),
            *SAMPLING,
            parameter("tiling", "bool", "Seamless", "The edges fit each other.", default=False, group="Model"),
            parameter(
                *("checkpoint", "model", "Checkpoint", "Model file."),
                default="juggernaut.safetensors",
                group="Model",
                choices=["juggernaut.safetensors", "sd_xl_base_1.0.safetensors"],
            ),
        ],
    ),
    "img2img": (
        "Image to image",
        "Change a picture by a text prompt.",
        [parameter("image", "image", "Image", "The picture to change.", required=True), *PROMPTS, *SAMPLING],
    ),
}


def described(template: str) -> dict[str, Any]:
    title, told, parameters = TEMPLATES[template]
    return {
        "id": template,
        "title": title,
        "description": told,
        "shipped": True,
        "style": True,
        "parameters": parameters,
    }


def painted(seed: int, number: int, width: int, height: int) -> bytes:
    """Hills under a sky, other ones for every seed."""
    draw = random.Random(seed * 31 + number)
    hue, image = draw.random(), Image.new("RGB", (width // 2, height // 2))
    pen = ImageDraw.Draw(image)

    def color(shift: float, saturation: float, value: float) -> tuple[int, ...]:
        return tuple(int(part * 255) for part in colorsys.hsv_to_rgb((hue + shift) % 1, saturation, value))

    for row in range(image.height):
        pen.line((0, row, image.width, row), fill=color(0.1, 0.45 - row / image.height * 0.3, 0.95))
    radius, middle = image.height // 9, (int(image.width * draw.uniform(0.2, 0.8)), int(image.height * 0.28))
    pen.ellipse((middle[0] - radius, middle[1] - radius, middle[0] + radius, middle[1] + radius), fill=(255, 246, 222))
    for layer in range(4):
        height_here, points = image.height * (0.45 + layer * 0.15), [(0, image.height)]
        for column in range(0, image.width + 40, 40):
            points.append((column, int(height_here + draw.uniform(-1, 1) * image.height * 0.06)))
        pen.polygon([*points, (image.width, image.height)], fill=color(layer * 0.02, 0.5, 0.75 - layer * 0.15))
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()


@dataclass
class Made:
    """A job, and the pictures it has once it is through."""

    id: str
    template: str
    values: dict[str, Any]
    style: str | None
    began: float
    cancelled: bool = False

    @property
    def done(self) -> int:
        return min(int((time.monotonic() - self.began) / SECONDS_A_STEP), self.values["steps"])

    @property
    def state(self) -> str:
        if self.cancelled:
            return "cancelled"
        return "succeeded" if self.done >= self.values["steps"] else "running" if self.done else "queued"

    def told(self) -> dict[str, Any]:
        width, height = self.values.get("width", 768), self.values.get("height", 512)
        ids = [f"{self.id}-{number}" for number in range(self.values.get("batch", 1))]
        shown = ids if self.state == "succeeded" else []
        return {
            "id": self.id,
            "template": self.template,
            "state": self.state,
            "values": self.values,
            "style": self.style,
            "error": None,
            "progress": {
                "fraction": self.done / self.values["steps"],
                "value": self.done,
                "maximum": self.values["steps"],
                "text": f"step {self.done}",
            },
            "pictures": [{"id": name, "mime": "image/png", "width": width, "height": height} for name in shown],
        }

    def picture(self, number: int) -> str:
        size = self.values.get("width", 768), self.values.get("height", 512)
        return base64.b64encode(painted(self.values["seed"], number, *size)).decode()


@dataclass
class Stand:
    """The server, what it made, and the levers of a test: where it is, and whether resources may be read."""

    url: str = ""
    jobs: dict[str, Made] = field(default_factory=dict[str, Made])
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list[tuple[str, dict[str, Any]]])

    async def list_tools(self, ctx: Context, params: Any) -> types.ListToolsResult:
        schema: dict[str, Any] = {"type": "object", "properties": {}}
        meta = {"ui": {"resourceUri": PAGE_URI}}
        names = ("open_form", "run_template", "get_result", "cancel_job", *TEMPLATES)
        return types.ListToolsResult(
            tools=[types.Tool(name=name, description=name, input_schema=schema, _meta=meta) for name in names]
        )

    async def call_tool(self, ctx: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
        given = dict(params.arguments or {})
        self.calls.append((params.name, given))
        match params.name:
            case "open_form":
                return self._form(given)
            case "run_template":
                return await self._run(given["template"], dict(given.get("values", {})), given.get("wait", 25))
            case "get_result":
                return await self._result(self.jobs[given["job_id"]], 25)
            case "cancel_job":
                self.jobs[given["job_id"]].cancelled = True
                return types.CallToolResult(content=[types.TextContent(text="cancelled")])
            case name if name in TEMPLATES:
                return await self._run(name, given, 25)
            case name:
                raise MCPError(types.INVALID_PARAMS, f"There is no tool {name!r}.")

    def _form(self, given: dict[str, Any]) -> types.CallToolResult:
        view = {
            "view": "form",
            "template": described(given["template"]),
            "values": given.get("values", {}),
            "styles": [{"id": name, "title": title} for name, title in STYLES],
        }
        told = types.TextContent(text=f"A form for {given['template']}.")
        return types.CallToolResult(content=[told], structured_content=view)

    async def _run(self, template: str, values: dict[str, Any], wait: float) -> types.CallToolResult:
        style = values.pop("style", None)
        defaults = {told["name"]: told["default"] for told in TEMPLATES[template][2]}
        values = {**defaults, **values}
        if not values["prompt"]:
            return refused("prompt is missing. What the picture shows.")
        if values["steps"] > 150:
            return refused(f"steps is {values['steps']}, but the most is 150.")
        if values["seed"] in (None, -1):
            values["seed"] = secrets.randbelow(2**32)
        job = Made(f"j{len(self.jobs) + 1}a8f0c2", template, values, style, time.monotonic())
        self.jobs[job.id] = job
        return await self._result(job, wait)

    async def _result(self, job: Made, wait: float) -> types.CallToolResult:
        with anyio.move_on_after(wait):
            while job.state in ("queued", "running"):
                await anyio.sleep(0.02)
        told = job.told()
        shown = [
            types.ImageContent(data=job.picture(number), mime_type="image/png")
            for number in range(min(len(told["pictures"]), BLOCKS))
        ]
        text = types.TextContent(text=f"{job.template}: {job.state}\njob {job.id}")
        return types.CallToolResult(content=[text, *shown], structured_content={"view": "result", "job": told})

    async def list_resources(self, ctx: Context, params: Any) -> types.ListResourcesResult:
        return types.ListResourcesResult(resources=[types.Resource(uri=PAGE_URI, name="app", mime_type=MIME)])

    async def read_resource(self, ctx: Context, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        uri = str(params.uri)
        self.calls.append(("resources/read", {"uri": uri}))
        kind, _, name = uri.partition("://")
        contents: types.TextResourceContents | types.BlobResourceContents
        if uri == PAGE_URI:
            contents = types.TextResourceContents(uri=uri, mime_type=MIME, text=page())
        elif kind == "job":
            told = json.dumps(self.jobs[name].told())
            contents = types.TextResourceContents(uri=uri, mime_type="application/json", text=told)
        else:
            job, _, number = name.removesuffix("/preview").rpartition("-")
            blob = self.jobs[job].picture(int(number))
            contents = types.BlobResourceContents(uri=uri, mime_type="image/png", blob=blob)
        return types.ReadResourceResult(contents=[contents])


def refused(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(text=f"Error: {text}")], is_error=True)


@asynccontextmanager
async def running_stand() -> AsyncGenerator[Stand]:
    stand = Stand()
    server: Server[Any] = Server(
        "stand-in",
        version="1",
        on_list_tools=stand.list_tools,
        on_call_tool=stand.call_tool,
        on_list_resources=stand.list_resources,
        on_read_resource=stand.read_resource,
    )
    sessions = Sessions(server, Signer(secrets.token_bytes(32)), max_body=2**20)
    app = Starlette(routes=[Mount("/", app=sessions)], lifespan=lambda app: sessions.run())
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        stand.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        uvicorn_server = uvicorn.Server(uvicorn.Config(app, log_config=None, ws="none"))
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(uvicorn_server.serve, [listener])
            yield stand
            uvicorn_server.should_exit = True
