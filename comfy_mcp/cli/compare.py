"""`comfy-workbench compare`: models asked the same prompts, side by side, into a folder of reports."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import anyio
import click
from anyio import to_thread
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from comfy_mcp.cli.llm.servers import endpoints, in_our_words
from comfy_mcp.cli.shown import cell, in_line
from comfy_mcp.settings import LLMServerSettings, Settings, load_settings
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.comparisons import Making
from llm_bridge.chat import Event
from llm_bridge.compare import (
    Cell,
    CellResult,
    Comparison,
    Folder,
    Judge,
    Results,
    parse_rules,
    read_prompts,
    variants_of,
)
from llm_bridge.compare.judge import CRITERIA
from llm_bridge.compare.reports import FORMATS, write
from llm_bridge.compare.reports.table import columns

__all__ = ["command"]

_CANCEL_SECONDS = 10.0
_WIDTH = 160


@click.command("compare")
@click.option("--models", required=True, help="Names or patterns such as `*`, separated by commas.")
@click.option("--prompts", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the run.")
@click.option("--system", default="", help="Instructions for prompts that have none of their own.")
@click.option("--parameters", default="", metavar="NAME=A,B;…", help="Every combination is asked.")
@click.option("--repeats", type=click.IntRange(1, 100), default=1, show_default=True)
@click.option("--check", "checks", multiple=True, metavar="RULE", help="Such as contains:sea, max-words:50 or json.")
@click.option("--judge", metavar="MODEL", help="A model that says which of two answers is better.")
@click.option("--criteria", default=CRITERIA, help="What the judge goes by.")
@click.option("--fresh", is_flag=True, help="Ask again what was asked in earlier runs.")
@click.option("--format", "formats", multiple=True, type=click.Choice(FORMATS), help="Default: all.")
def command(
    *,
    models: str,
    prompts: Path,
    out: Path,
    system: str,
    parameters: str,
    repeats: int,
    checks: tuple[str, ...],
    judge: str | None,
    criteria: str,
    fresh: bool,
    formats: tuple[str, ...],
) -> None:
    """Compare text models: every model gets every prompt of a file (text, JSON lines, CSV or TOML).

    A run that was cut off goes on where it was when it is called again with the same folder. The cells are jobs in the
    queue, grouped by model. Exit status 1 when a cell has no answer.
    """
    with in_our_words():
        asked = [replace(prompt, system=prompt.system or system) for prompt in read_prompts(prompts)]
        comparison = Comparison(_names(models), tuple(asked), variants_of(parameters), repeats)
        parse_rules(checks)
        run = _Run(comparison, out, checks, Judge(judge, criteria) if judge else None, fresh)
        try:
            results = anyio.run(run.results)
        except KeyboardInterrupt:
            click.echo("Stopped. Call it again to go on.", err=True)
            sys.exit(130)
        names = write(results, out, formats or FORMATS)
    console = Console(width=None if sys.stdout.isatty() else _WIDTH, highlight=False)
    console.print(_table(results))
    for name in names:
        click.echo(str(out / name))
    sys.exit(any(cell.failure for cell in results.cells))


def _table(results: Results) -> Table:
    """A line for each model."""
    shown = columns(results)
    table = Table(box=box.SIMPLE)
    table.add_column("Model", overflow="fold")
    for column in shown:
        table.add_column(column.title, justify="right")
    for number, model in enumerate(results.comparison.models):
        table.add_row(cell(in_line(model)), *(cell(column.cells[number].text) for column in shown))
    return table


def _names(models: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in models.split(",") if name.strip())


@dataclass(frozen=True, slots=True)
class _Run:
    """One call of the command."""

    comparison: Comparison
    out: Path
    checks: tuple[str, ...]
    judge: Judge | None
    fresh: bool

    async def results(self) -> Results:
        async with Workbench.open(await _with_servers(load_settings())) as workbench:
            comparison, judge = await workbench.comparisons.resolved(self.comparison, self.judge)
            folder = Folder(self.out)
            await folder.begin(comparison)
            run = await to_thread.run_sync(_run_id, self.out)
            making = Making(comparison, folder, run, checks=self.checks, judge=judge, fresh=self.fresh)
            try:
                with _Bar(len(comparison)) as bar:
                    return await workbench.comparisons.made(making, bar.see, bar.judging)
            except anyio.get_cancelled_exc_class():
                with anyio.CancelScope(shield=True), anyio.move_on_after(_CANCEL_SECONDS):
                    await workbench.chats.cancel(f"{run}-")
                    await workbench.stopped(_CANCEL_SECONDS)
                raise


def _run_id(out: Path) -> str:
    """What tells the jobs of this folder from those of another run of the same comparison."""
    file = out / "run-id"
    try:
        return file.read_text().strip()
    except FileNotFoundError:
        file.write_text(f"{uuid4().hex}\n")
        return file.read_text().strip()


async def _with_servers(settings: Settings) -> Settings:
    """The settings; where they name no LLM server, with those that run on this machine."""
    if settings.all_llm_servers:
        return settings
    found = [
        LLMServerSettings.model_validate({"name": server.name, "url": server.url, "kind": server.kind})
        for server in await endpoints()
    ]
    return settings.model_copy(update={"llm_servers": found})


class _Bar:
    """How far it is, on standard error."""

    def __init__(self, cells: int) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task("asking", total=cells)

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._progress.stop()

    def see(self, of: Cell, change: Event | CellResult) -> None:
        if isinstance(change, CellResult):
            self._progress.advance(self._task)
        self._progress.update(self._task, description=in_line(of.model))

    async def judging(self) -> None:
        self._progress.update(self._task, description="judging")
