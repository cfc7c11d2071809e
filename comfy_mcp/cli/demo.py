"""`comfy-workbench demo`: the main job once, as a chat would do it: a workflow called through MCP, picture saved."""

from __future__ import annotations

import base64
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import click
from anyio.streams.text import TextReceiveStream
from mcp import Client
from mcp_types import ImageContent, TextContent

from comfy_mcp.backends import ComfyUIBackend
from comfy_mcp.cli.shown import in_line, say
from comfy_mcp.cli.snippets import snippets
from comfy_mcp.errors import BackendUnavailable, WorkbenchError
from comfy_mcp.proxy import listening
from comfy_mcp.settings import Settings, load_settings
from comfy_mcp.workbench import Workbench

__all__ = ["command"]

_PROMPT = "a lighthouse on a cliff above the sea at sunset, warm light, drifting clouds"
_ENGINE_SECONDS = 30


@click.command("demo")
@click.option("--prompt", default=_PROMPT, show_default=True, help="What to paint.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default="demo-output", show_default=True)
def command(prompt: str, out: Path) -> None:
    """Paint one picture through MCP, and say what to paste into your chat."""
    anyio.run(_demo, load_settings(), prompt, out)


async def _demo(settings: Settings, prompt: str, out: Path) -> None:
    async with _painter(settings) as url:
        # A port of its own, so that the demo works beside a workbench that runs already.
        served = settings.model_copy(
            update={"comfyui_url": url, "backends": [], "port": 0, "host": "127.0.0.1", "token": None}
        )
        async with Workbench.open(served) as workbench, listening(workbench) as address:
            text, picture = await _call(f"{address}/mcp", prompt)
    path = await _saved(picture, out)
    # The link in the answer led to this demo's own server, which is gone.
    told = "\n".join(line for line in text.splitlines() if "http" not in line)
    say(f"\n{told}\n\nThe picture: {path}\n")
    click.echo(snippets(settings))


@asynccontextmanager
async def _painter(settings: Settings) -> AsyncGenerator[str]:
    """The person's ComfyUI when it answers and has a checkpoint, else the embedded engine; says which."""
    url = str(settings.all_backends[0].url).rstrip("/")
    try:
        async with ComfyUIBackend.open(url) as backend:
            info = await backend.object_info()
        if info.choices("CheckpointLoaderSimple.ckpt_name"):
            click.echo(f"Painting with your ComfyUI at {url}.")
            yield url
            return
        click.echo(f"ComfyUI at {url} has no checkpoint yet: put one into models/checkpoints. Until then:")
    except BackendUnavailable:
        click.echo(f"No ComfyUI answers at {url} (WORKBENCH_COMFYUI_URL names another). Until then:")
    click.echo("painting with the embedded engine: a procedural preview, not a diffusion model.")
    async with _engine() as url:
        yield url


@asynccontextmanager
async def _engine() -> AsyncGenerator[str]:
    command = [sys.executable, "-m", "comfy_mcp.embedded", "--port", "0"]
    async with await anyio.open_process(command, stdout=subprocess.PIPE, stderr=None) as process:
        assert process.stdout is not None
        try:
            with anyio.fail_after(_ENGINE_SECONDS):
                line = ""
                async for part in TextReceiveStream(process.stdout):
                    line += part
                    if "\n" in line:
                        break
            yield line.split()[-1]
        finally:
            process.terminate()


async def _call(url: str, prompt: str) -> tuple[str, bytes]:
    """Call `txt2img` as a chat client does, showing the progress that a chat would see."""

    async def show(progress: float, total: float | None, message: str | None) -> None:
        click.echo(f"\r{progress:4.0%} {in_line(message or ''):30}", nl=False)

    click.echo(f"Calling the tool txt2img at {url} …")
    async with Client(url) as chat:
        arguments = {"prompt": prompt, "width": 768, "height": 512, "style": "photographic"}
        result = await chat.call_tool("txt2img", arguments, progress_callback=show)
    click.echo()
    text = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
    pictures = [block for block in result.content if isinstance(block, ImageContent)]
    if result.is_error or not pictures:
        raise _NoPicture(text)
    return text, base64.b64decode(pictures[0].data)


async def _saved(picture: bytes, out: Path) -> Path:
    suffix = {b"\x89PNG": ".png", b"\xff\xd8\xff\xe0": ".jpg", b"RIFF": ".webp"}.get(picture[:4], ".jpg")
    folder = anyio.Path(out)
    await folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"txt2img{suffix}"
    await path.write_bytes(picture)
    return Path(await path.absolute())


class _NoPicture(WorkbenchError):
    """The tool answered without a picture; its text says why."""
