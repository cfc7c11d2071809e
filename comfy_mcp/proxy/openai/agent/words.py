"""What a workflow says in a chat: its pictures as Markdown, what made them, and what it can be told.

Owns the Markdown. What people and models wrote goes into it as text, whatever it looks like.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from typing import Any

from anyio import to_thread
from starlette.requests import Request

from comfy_mcp import images
from comfy_mcp.errors import WorkbenchError
from comfy_mcp.jobs import Asset, Job
from comfy_mcp.proxy.links import Links
from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import Template, describe

__all__ = ["as_text", "help_for", "job_answer", "refusal"]

_LIVE = re.compile(r"([\\`\[\]<~]|:(?=::))")
"""What begins a picture, a link, HTML, code, or what chats make a window of; all else is a matter of type."""
_QUOTED_LIVE = re.compile(r"([\\\[\]<])")
"""The same in a line that holds code spans of ours."""
_BLOCK = re.compile(r"^(`{3,}|~{3,})[^`\n]*\n(.*?)(?:^\1[`~]*[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
_MARKS = re.compile(r"([\\`*_\[\]<>!|~#&])")
_ESCAPED = r"\\\1"
_MOST_ALT, _MOST_CHOICES = 120, 8
_INLINE_QUALITY = 85


async def job_answer(workbench: Workbench, job: Job, links: Links, request: Request, said: str) -> str:
    """The pictures of a job, under the words that asked for them, then its texts, and how to come back to it."""
    inline = request.headers.get("x-inline-images", "").strip().lower() == "always"
    parts = [
        await _file(workbench, asset, None if inline else links.public(asset, request), said) for asset in job.assets
    ]
    parts += [as_text(str(output.value)) for output in job.outputs if output.kind == "text"]
    if job.assets:
        parts.append(_facts(job))
    parts += [f"Note: {_escaped(warning)}" for warning in job.warnings]
    return "\n\n".join(parts) or "It is done, but there is nothing to show."


def as_text(written: str) -> str:
    """What somebody or some model wrote, as Markdown that shows it and does nothing: it loads no picture, leads nowhere
    and runs nothing. Blocks of code stay blocks, but of no language."""
    told, at = "", 0
    for block in _BLOCK.finditer(written):
        # Longer than any inside, so that none of those ends it.
        fence = "`" * max([3, *(len(ticks) + 1 for ticks in re.findall("`+", block[2]))])
        told += f"{_LIVE.sub(_ESCAPED, written[at : block.start()])}\n{fence}text\n{block[2].rstrip()}\n{fence}\n"
        at = block.end()
    return told + _LIVE.sub(_ESCAPED, written[at:])


async def _file(workbench: Workbench, asset: Asset, link: str | None, said: str) -> str:
    told = _escaped(" ".join(said.split())[:_MOST_ALT]) or "picture"
    if not asset.mime.startswith("image/"):
        return f"[{_escaped(asset.name)}]({link})" if link else _escaped(asset.name)
    if link is None:
        data = await images.convert(await workbench.read(asset), "image/webp", quality=_INLINE_QUALITY)
        encoded = await to_thread.run_sync(base64.b64encode, data)
        link = f"data:image/webp;base64,{encoded.decode()}"
    return f"![{told}]({link})"


def _facts(job: Job) -> str:
    first = job.assets[0]
    facts = [f"{len(job.assets)} files"] if len(job.assets) > 1 else []
    facts += [f"seed {job.values['seed']}"] if "seed" in job.values else []
    facts += [f"{first.width}×{first.height}"] if first.width else []
    # A later message finds the picture by this.
    return " · ".join([*facts, f"job {job.id}"])


def refusal(failure: WorkbenchError, template: Template, *, edits: bool) -> str:
    """Why nothing is made, to who can mend it with the next message."""
    told = _QUOTED_LIVE.sub(_ESCAPED, " ".join(str(failure).split()))
    lines = [told, f"`--help` lists what `{template.id}` takes."]
    if edits:
        lines.append(f"A message edits the last picture with `{template.id}`; `--new` begins a fresh one.")
    return "\n\n".join(lines)


def help_for(workbench: Workbench, template: Template) -> str:
    """What can be typed, as a table; with the choices that ComfyUI had when it was last asked."""
    told = describe(template, object_info=workbench.known_info)
    rows = [_row(parameter) for parameter in told["parameters"]]
    if template.takes_style:
        rows.append(("style", "Style preset", "", _listed(list(workbench.catalogue.styles))))
    rows.append(("preset", "One of your saved settings", "", ""))
    rows.append(("new", "A fresh picture instead of a change of the last one", "", ""))
    lines = [f"**{_escaped(template.title)}**", _escaped(template.description), ""]
    lines += ["| Option | What it is | Default | Takes |", "| --- | --- | --- | --- |"]
    lines += [f"| `--{name}` | {what} | {default} | {takes} |" for name, what, default, takes in rows]
    lines += ["", "Example: `a red house at dusk --seed 7`. What is not an option is the prompt."]
    return "\n".join(lines)


def _row(parameter: dict[str, Any]) -> tuple[str, str, str, str]:
    default = "" if parameter["default"] is None else " ".join(str(parameter["default"]).split())
    default = default if len(default) <= 40 else f"{default[:40]}…"
    takes = _listed([str(choice) for choice in parameter["choices"] or ()])
    if not takes and (parameter["min"] is not None or parameter["max"] is not None):
        low, high = ("…" if parameter[end] is None else parameter[end] for end in ("min", "max"))
        takes = f"{low} to {high}"
    return parameter["name"], _escaped(parameter["help"] or parameter["label"]), _escaped(default), takes


def _listed(choices: Sequence[str]) -> str:
    shown = ", ".join(map(_escaped, choices[:_MOST_CHOICES]))
    return f"{shown}, and {len(choices) - _MOST_CHOICES} more" if len(choices) > _MOST_CHOICES else shown


def _escaped(text: str) -> str:
    """A line of text that Markdown shows as it is."""
    return _MARKS.sub(_ESCAPED, " ".join(text.split()))
