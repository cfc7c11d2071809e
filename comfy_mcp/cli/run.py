"""`comfy-workbench run`: one template, from the command line, with a progress bar."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import anyio
import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from comfy_mcp.cli import shown
from comfy_mcp.errors import InvalidParameter, WorkbenchError
from comfy_mcp.jobs import Job, JobRequest, JobState
from comfy_mcp.settings import load_settings
from comfy_mcp.workbench import Workbench

__all__ = ["command"]


@click.command("run")
@click.argument("template")
@click.option("--set", "assignments", multiple=True, metavar="NAME=VALUE", help="A parameter; a picture is a file.")
@click.option("--style", help="A style preset.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Where to save the picture or the text.")
@click.option("--json", "as_json", is_flag=True, help="Print the job as JSON.")
def command(template: str, assignments: tuple[str, ...], style: str | None, out: Path | None, as_json: bool) -> None:
    """Make one picture with TEMPLATE. A value that is refused is named on stderr, with exit status 2."""
    values = dict(map(_assignment, assignments))
    job = anyio.run(_run, template, values, style, out, as_json)
    if job.state is not JobState.SUCCEEDED:
        shown.say(f"error: the job {job.state}. {job.error or ''}".strip(), err=True)
        sys.exit(1)


def _assignment(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise click.UsageError(f"--set {text!r} is not NAME=VALUE.")
    return name, value


async def _run(template: str, values: dict[str, Any], style: str | None, out: Path | None, as_json: bool) -> Job:
    async with Workbench.open(load_settings()) as workbench:
        values = await _upload_files(workbench, template, values)
        job = await workbench.submit(JobRequest(template, values, style or None))
        job = await _finished(workbench, job)
        saved = await _save(workbench, job, out, as_json)
        if as_json:
            await _write(job, out)
            click.echo(_job_json(job, saved))
        elif job.state is JobState.SUCCEEDED:
            for warning in job.warnings:
                shown.say(f"note: {warning}", err=True)
            for path in saved:
                shown.say(path)
            if written := await _write(job, out):
                click.echo(str(written))
            else:
                shown.say("".join(f"{text}\n" for text in _texts(job)), nl=False)
        return job


async def _upload_files(workbench: Workbench, template: str, values: dict[str, Any]) -> dict[str, Any]:
    """The values with every picture that names a file here stored, and named by its id."""
    uploaded = dict(values)
    for parameter in workbench.pictures_of(template):
        path = anyio.Path(uploaded.get(parameter, ""))
        if parameter in uploaded and await path.is_file():
            try:
                uploaded[parameter] = (await workbench.upload(await path.read_bytes())).id
            except WorkbenchError as failure:
                raise InvalidParameter(parameter, f"{parameter}: {failure.message}", hint=failure.hint) from failure
    return uploaded


async def _finished(workbench: Workbench, job: Job) -> Job:
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task("waiting", total=1.0)
        try:
            async for current in workbench.follow(job.id):
                step = f" {current.progress.value}/{current.progress.maximum}" if current.progress.maximum > 1 else ""
                bar.update(task, completed=current.progress.fraction, description=f"{current.state}{step}")
                job = current
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True), anyio.move_on_after(10):
                await workbench.cancel(job.id)
                await workbench.wait(job.id, 8)
            raise
    return job


async def _save(workbench: Workbench, job: Job, out: Path | None, as_json: bool) -> list[Path]:
    """Write the files: to ``out`` (numbered from the second on), else under their own names, unless JSON was wanted."""
    if out is None and as_json:
        return []
    saved: list[Path] = []
    for index, asset in enumerate(job.assets):
        path = Path(asset.name) if out is None else out
        if index and out is not None:
            path = out.with_stem(f"{out.stem}-{index + 1}")
        await anyio.Path(path).write_bytes(await workbench.read(asset))
        saved.append(path)
    return saved


async def _write(job: Job, out: Path | None) -> Path | None:
    """Write the text of a job that made nothing else to ``out``; where it is, if it is."""
    if out is None or job.assets or not (texts := _texts(job)):
        return None
    await anyio.Path(out).write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return out


def _texts(job: Job) -> list[str]:
    return [str(output.value) for output in job.outputs if output.kind == "text"]


def _job_json(job: Job, saved: list[Path]) -> str:
    told = {
        "id": job.id,
        "state": job.state,
        "template": job.template,
        "style": job.style,
        "values": job.values,
        "warnings": job.warnings,
        "assets": [
            {
                "id": asset.id,
                "mime": asset.mime,
                "width": asset.width,
                "height": asset.height,
                "bytes": asset.size,
                "file": str(path) if path else None,
            }
            for asset, path in zip(job.assets, saved or [None] * len(job.assets), strict=True)
        ],
        "outputs": [{"node": output.node, "kind": output.kind, "value": output.value} for output in job.outputs],
        "error": {"code": job.error.code, "message": job.error.message, "hint": job.error.hint} if job.error else None,
    }
    return shown.as_json(told)
