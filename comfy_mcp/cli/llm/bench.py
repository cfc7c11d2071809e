"""`llm bench`: how long models take to load, to begin, and to write."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import anyio
import click
from rich import box
from rich.console import Console
from rich.table import Table

from comfy_mcp.cli import shown
from comfy_mcp.cli.llm.servers import opened, routed
from llm_bridge.chat import ChatRequest, Reply, Sampling
from llm_bridge.errors import BridgeError
from llm_bridge.messages import Message
from llm_bridge.queue import Queue

__all__ = ["bench"]

_PROMPT = "Write a story about a lighthouse keeper who finds a message in a bottle."


@dataclass(frozen=True, slots=True)
class _Measured:
    """The replies of one model, or why there are none."""

    model: str
    replies: list[Reply]
    failure: str = ""

    def told(self) -> dict[str, Any]:
        load = next((reply.metrics.load for reply in self.replies if reply.metrics.load is not None), None)
        return {
            "model": self.model,
            "load": load,
            "ttft": _middle([reply.metrics.ttft for reply in self.replies]),
            "tokens_per_second": _middle([reply.tokens_per_second for reply in self.replies]),
            "tokens": _middle([reply.usage.completion for reply in self.replies]),
            "failure": self.failure,
        }


@click.command("bench")
@click.argument("models", nargs=-1, required=True)
@click.option("--prompt", default=_PROMPT, help="What each is asked.")
@click.option("--runs", type=click.IntRange(1, 100), default=3, show_default=True)
@click.option("--max-tokens", type=click.IntRange(min=1), default=128, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def bench(models: tuple[str, ...], prompt: str, runs: int, max_tokens: int, as_json: bool) -> None:
    """Ask each of MODELS the same a few times, and show the medians: load time, time to the first token, tokens per
    second as its server measures them. Exit status 1 when one failed."""
    asked = ChatRequest("", (Message.user(prompt),), Sampling(max_tokens=max_tokens, seed=1))
    measured = anyio.run(_measure, models, asked, runs)
    told = [each.told() for each in measured]
    if as_json:
        click.echo(shown.as_json(told))
    else:
        Console(width=None if sys.stdout.isatty() else 160, highlight=False).print(_table(told))
    sys.exit(any(each.failure for each in measured))


async def _measure(models: tuple[str, ...], asked: ChatRequest, runs: int) -> list[_Measured]:
    async with opened() as queue:
        return [await _runs(queue, model, asked, runs) for model in models]


async def _runs(queue: Queue, name: str, asked: ChatRequest, runs: int) -> _Measured:
    replies: list[Reply] = []
    try:
        for _ in range(runs):
            # One by one: the replies before a failure are kept.
            replies += [await routed(queue, replace(asked, model=name))]
    except BridgeError as failure:
        return _Measured(name, replies, str(failure))
    return _Measured(name, replies)


def _middle(values: list[Any]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _table(told: list[dict[str, Any]]) -> Table:
    table = Table(box=box.SIMPLE)
    for heading in ("model", "load", "first token", "tokens/s", "tokens"):
        table.add_column(heading, justify="left" if heading == "model" else "right", overflow="fold")
    for each in told:
        load = "" if each["load"] is None else f"{each['load']:.2f} s"
        ttft = "" if each["ttft"] is None else f"{each['ttft'] * 1000:.0f} ms"
        rate = "" if each["tokens_per_second"] is None else f"{each['tokens_per_second']:.1f}"
        tokens = "" if each["tokens"] is None else f"{each['tokens']:.0f}"
        failure = f"\n{each['failure']}" if each["failure"] else ""
        table.add_row(shown.cell(each["model"] + failure), load, ttft, rate, tokens)
    return table
