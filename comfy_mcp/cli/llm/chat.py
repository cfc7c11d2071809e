"""`llm chat`: an answer as it is written, and how fast it was."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
import click

from comfy_mcp.cli.llm.servers import opened, routed
from comfy_mcp.cli.shown import in_line, say
from comfy_mcp.errors import BadRequest
from llm_bridge.chat import ChatRequest, Event, Loading, Reasoning, Reply, Restarted, Sampling, Text, Waiting
from llm_bridge.errors import BadInput
from llm_bridge.messages import Image, Message
from llm_bridge.queue import Queue

__all__ = ["chat"]


@click.command("chat")
@click.argument("model")
@click.argument("prompt", required=False)
@click.option("--system", default="", help="Instructions before the prompt.")
@click.option("--image", "images", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--temperature", type=click.FloatRange(0, 5))
@click.option("--max-tokens", type=click.IntRange(min=1))
@click.option("--seed", type=click.IntRange(min=0))
@click.option("--think/--no-think", default=None, help="Ask a reasoning model to think, or not to.")
@click.option("--schema", type=click.File("r"), help="A JSON Schema that the answer must fit.")
def chat(
    model: str,
    *,
    prompt: str | None,
    system: str,
    images: tuple[Path, ...],
    temperature: float | None,
    max_tokens: int | None,
    seed: int | None,
    think: bool | None,
    schema: Any,
) -> None:
    """Ask MODEL (`model` or `server/model`) and see it answer.

    Without PROMPT a terminal asks for one after the other, in one conversation; otherwise it is read from standard
    input. What it thinks, and how fast it was, goes to standard error.
    """
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens, seed=seed)
    asked = ChatRequest(
        model, (Message.system(system),) if system else (), sampling, schema=_schema(schema), think=think
    )
    talk = _Talk(asked, [_image(path) for path in images])
    try:
        if prompt is None and sys.stdin.isatty():
            anyio.run(talk.go_on)
        else:
            anyio.run(talk.once, prompt if prompt is not None else sys.stdin.read())
    except KeyboardInterrupt:
        sys.exit(130)


def _schema(file: Any) -> Any:
    if file is None:
        return None
    try:
        return json.load(file)
    except (ValueError, RecursionError):
        raise BadRequest("The schema is no JSON.", hint="Give a file with a JSON Schema.") from None


def _image(path: Path) -> Image:
    try:
        return Image.of(path.read_bytes())
    except BadInput:
        raise BadRequest(f"{path.name} is no picture that models take.", hint="Give PNG, JPEG, WebP or GIF.") from None


@dataclass
class _Talk:
    """One conversation. ``images`` go with the first prompt."""

    asked: ChatRequest
    images: list[Image] = field(default_factory=list[Image])

    async def once(self, prompt: str) -> None:
        async with opened() as queue:
            await self._turn(queue, prompt)

    async def go_on(self) -> None:
        """Prompt after prompt, until the end of input."""
        async with opened() as queue:
            while (prompt := await anyio.to_thread.run_sync(_read, abandon_on_cancel=True)) is not None:
                if prompt.strip():
                    await self._turn(queue, prompt)

    async def _turn(self, queue: Queue, prompt: str) -> None:
        messages = (*self.asked.messages, Message.user(prompt, self.images))
        self.images = []
        shown = _Shown()
        request = replace(self.asked, messages=messages)
        reply = await routed(queue, request, shown.see)
        shown.end(reply)
        self.asked = replace(request, messages=(*messages, reply.message))


def _read() -> str | None:
    try:
        return input("> ")
    except EOFError:
        return None


class _Shown:
    """What the terminal shows of one answer."""

    def __init__(self) -> None:
        self._note = ""
        self._thinks = False

    def see(self, event: Event) -> None:
        match event:
            case Waiting(ahead):
                self._tell(f"waiting, {ahead} before it")
            case Loading(model):
                self._tell(in_line(f"loading {model}"))
            case Reasoning(text):
                self._clear()
                self._thinks = True
                say(text, nl=False, err=True, dim=True)
            case Text(text):
                self._clear()
                self._stop_thinking()
                say(text, nl=False)
            case Restarted(reason):
                self._clear()
                self._stop_thinking()
                click.echo()
                say(reason, err=True, dim=True)
            case _:
                pass

    def end(self, reply: Reply) -> None:
        self._clear()
        self._stop_thinking()
        click.echo()
        say(in_line(speed(reply)), err=True, dim=True)
        for note in reply.notes:
            say(f"note: {note}", err=True)

    def _stop_thinking(self) -> None:
        if self._thinks:
            self._thinks = False
            click.echo(err=True)

    def _tell(self, note: str) -> None:
        self._clear()
        if sys.stderr.isatty():
            self._note = note
            click.secho(f"{note} …", nl=False, err=True, dim=True)

    def _clear(self) -> None:
        if self._note:
            click.echo("\r\x1b[K", nl=False, err=True)
            self._note = ""


def speed(reply: Reply) -> str:
    """How fast an answer was, in a line."""
    measured, tokens = reply.metrics, reply.usage.completion
    parts = [f"{reply.server}/{reply.model}" if reply.model else reply.server]
    if measured.load is not None:
        parts.append(f"loaded in {measured.load:.1f} s")
    if measured.ttft is not None:
        parts.append(f"first token after {measured.ttft * 1000:.0f} ms")
    if (rate := reply.tokens_per_second) is not None:
        parts.append(f"{rate:.1f} tokens/s")
    if tokens is not None:
        parts.append(f"{tokens} tokens")
    if reply.finish == "length":
        parts.append("cut off by the limit of tokens")
    return ", ".join(parts)
