"""What the form says now as a call that somebody can paste: MCP, curl, A1111's and OpenAI's forms, and Python.

Owns the wording of these calls. Pure: what a person may call, and under which address, its caller knows.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pprint import pformat
from typing import Any

from comfy_mcp.jobs import Preset
from comfy_mcp.snippets import PLACEHOLDER
from comfy_mcp.ui import to_say
from comfy_mcp.workflows import Around

__all__ = ["Asked", "Copied", "copies"]

_A1111 = {
    "prompt": "prompt",
    "negative": "negative_prompt",
    "seed": "seed",
    "steps": "steps",
    "cfg": "cfg_scale",
    "width": "width",
    "height": "height",
    "sampler": "sampler_name",
    "scheduler": "scheduler",
    "batch": "batch_size",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a ``template`` at the ``address`` of this server, without a slash at its end.

    ``preset`` is the one that the form was filled with, if any: chats name it, and where it cannot be named, what it
    has around a prompt is in the prompt. ``needs_token`` tells whether a caller must send one. ``as_a1111`` and
    ``as_images`` say whether A1111's and OpenAI's routes come to this template, ``by_name`` whether chats have a tool
    of its name.
    """

    template: str
    values: Mapping[str, Any]
    style: str | None
    address: str
    preset: Preset | None = None
    needs_token: bool = False
    as_a1111: bool = False
    as_images: bool = False
    by_name: bool = True

    @property
    def job(self) -> dict[str, Any]:
        """The body for /api/v1/jobs."""
        values = dict(self.values)
        if self.preset is not None and isinstance(values.get("prompt"), str):
            around = Around(self.preset.prefix, self.preset.suffix, self.preset.negative)
            values["prompt"], negative = around.apply(values["prompt"], str(values.get("negative") or ""))
            values |= {"negative": negative} if negative else {}
        return {"template": self.template, "values": values, **({"style": self.style} if self.style else {})}

    @property
    def arguments(self) -> dict[str, Any]:
        """As a chat gives them."""
        named = {"style": self.style, "preset": None if self.preset is None else self.preset.name}
        return {**self.values, **{name: value for name, value in named.items() if value}}


@dataclass(frozen=True, slots=True)
class Copied:
    """One way to ask; ``title`` and ``note``, what it does, are for the words."""

    key: str
    title: str
    text: str
    note: str


def copies(asked: Asked) -> list[Copied]:
    """Every way to ask for the same."""
    found = [
        Copied(
            "mcp",
            to_say("MCP call"),
            _mcp(asked),
            to_say("What a chat sends to /mcp in its session. By hand, send initialize first."),
        ),
        Copied("curl", "curl", _curl(asked, "/api/v1/jobs", asked.job), to_say("Answers at once with the job's id.")),
        Copied("python", "Python", _python(asked), to_say("Waits, and saves what comes. Needs: pip install httpx")),
    ]
    if asked.as_images:
        told = _curl(asked, "/v1/images/generations", _openai(asked))
        found.append(Copied("openai", "OpenAI", told, to_say("Waits, and answers with the picture as base64.")))
    if asked.as_a1111:
        told = _curl(asked, "/sdapi/v1/txt2img", _a1111(asked))
        found.append(Copied("a1111", "A1111", told, to_say("Waits, and answers with the picture as base64.")))
    return found


def _mcp(asked: Asked) -> str:
    name, arguments = asked.template, asked.arguments
    if not asked.by_name:
        name, arguments = "run_template", {"template": asked.template, "values": asked.arguments}
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": name, "arguments": arguments},
    }
    return json.dumps(call, indent=2, ensure_ascii=False)


def _curl(asked: Asked, path: str, body: Mapping[str, Any]) -> str:
    lines = [f"curl -sS {shlex.quote(asked.address + path)}", "-H 'Content-Type: application/json'"]
    if asked.needs_token:
        lines.append(f"-H 'Authorization: Bearer {PLACEHOLDER}'")
    lines.append(f"-d {shlex.quote(json.dumps(body, indent=2, ensure_ascii=False))}")
    return " \\\n  ".join(lines)


def _a1111(asked: Asked) -> dict[str, Any]:
    """Other parameters keep their own names: the route knows those too."""
    body = {_A1111.get(name, name): value for name, value in asked.values.items() if name != "checkpoint"}
    if checkpoint := asked.values.get("checkpoint"):
        body["override_settings"] = {"sd_model_checkpoint": checkpoint}
    return {**body, **({"styles": [asked.style]} if asked.style else {})}


def _openai(asked: Asked) -> dict[str, Any]:
    values = dict(asked.values)
    body: dict[str, Any] = {"model": f"workflow/{asked.template}", "prompt": values.pop("prompt", "")}
    if "width" in values and "height" in values:
        body["size"] = f"{values.pop('width')}x{values.pop('height')}"
    if "batch" in values:
        body["n"] = values.pop("batch")
    named = {"style": asked.style, "quality": None if asked.preset is None else asked.preset.name}
    return {**body, **{name: value for name, value in named.items() if value}, **values}


def _python(asked: Asked) -> str:
    headers = {"Authorization": f"Bearer {PLACEHOLDER}"} if asked.needs_token else {}
    return _SCRIPT.format(
        address=asked.address, headers=headers, job=pformat(asked.job, width=100, sort_dicts=False)
    ).strip()


_SCRIPT = """
import time
from pathlib import Path

import httpx

ASKED = {job}

with httpx.Client(base_url="{address}", headers={headers}, timeout=60) as workbench:
    job = workbench.post("/api/v1/jobs", json=ASKED).raise_for_status().json()
    while job["state"] in ("queued", "running"):
        time.sleep(0.5)
        job = workbench.get("/api/v1/jobs/" + job["id"]).raise_for_status().json()
    if job["state"] != "succeeded":
        raise SystemExit(job["error"]["message"] if job["error"] else job["state"])
    for output in job["outputs"]:
        if output["kind"] == "text":
            print(output["value"])
    for asset in job["assets"]:
        file = Path(Path(asset["name"]).name)
        file.write_bytes(workbench.get(asset["url"]).raise_for_status().content)
        print("saved", file)
"""
