"""`/v1/models`: what can be named as a model.

Owns the names of workflows as models, and what is told beside OpenAI's fields: `workbench` with the kind (workflow,
text or auto), context in tokens, vision, tools, reasoning, state and server, null where it is not known.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import anyio
from fastapi import APIRouter

from comfy_mcp.backends import LLMBackend
from comfy_mcp.errors import NotFound, WorkbenchError, nearest
from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import Template
from llm_bridge.providers import Model

__all__ = ["WORKFLOW", "add_models", "known_models", "named_template"]

WORKFLOW = "workflow/"
"""What stands before the id of a template."""

_OURS = "comfyui-workbench"
_ASK_SECONDS = 2.0
_ABILITIES = ("vision", "tools", "reasoning")


def add_models(api: APIRouter, workbench: Workbench) -> None:
    """Add these routes to those of `/v1`."""

    @api.get("/models")
    async def models() -> dict[str, Any]:
        """Every workflow, every language model that chats, and `auto`, which chooses one of these.

        A server that does not answer at once is told of as it was last known.
        """
        return {"object": "list", "data": await _listed(workbench)}

    @api.get("/models/{model:path}")
    async def model(model: str) -> dict[str, Any]:
        """One of them."""
        listed = {each["id"]: each for each in await _listed(workbench)}
        if model not in listed:
            raise _no_such_model(model, listed)
        return listed[model]


def _no_such_model(name: str, known: Iterable[str]) -> NotFound:
    """As OpenAI's clients know it: 404 with the code `model_not_found`."""
    names = list(known)
    alike = nearest(name[:128], names) or names[:5]
    hint = f"Near it: {', '.join(alike)}." if alike else "No language model is known: set WORKBENCH_LLM_URL."
    return NotFound(f"There is no model {name[:128]!r}.", hint=hint, parameter="model")


def named_template(workbench: Workbench, model: str) -> Template | None:
    """The template that a model names as `workflow/ID`; None when it names none so.

    Raises:
        NotFound: there is no such workflow.
    """
    if not model.startswith(WORKFLOW):
        return None
    templates = workbench.catalogue.templates
    found = templates.get(model.removeprefix(WORKFLOW))
    if found is None:
        raise _no_such_model(model, [WORKFLOW + name for name in templates])
    return found


def known_models(workbench: Workbench) -> list[tuple[str, Model]]:
    """The language models that chat, each with its server; never asks."""
    servers = [(member.name, member.backend) for member in workbench.pool.members]
    return [
        (name, model)
        for name, backend in servers
        if isinstance(backend, LLMBackend)
        for model in backend.known
        if model.chats
    ]


async def _listed(workbench: Workbench) -> list[dict[str, Any]]:
    with suppress(WorkbenchError), anyio.move_on_after(_ASK_SECONDS):
        await workbench.chats.offered()
    known = known_models(workbench)
    return [*_workflows(workbench), *_texts(known), *_autos(workbench, [model for _, model in known])]


def _workflows(workbench: Workbench) -> Iterator[dict[str, Any]]:
    edits = workbench.settings.images.txt2img
    for template in workbench.catalogue.templates.values():
        # One that only paints is given a picture, too: then the one that edits takes it.
        sees = bool(template.pictures) or template.id == edits
        yield _entry(WORKFLOW + template.id, _OURS, kind="workflow", vision=sees, tools=False)


def _texts(known: Sequence[tuple[str, Model]]) -> Iterator[dict[str, Any]]:
    for server, model in known:
        abilities = {name: getattr(model, name) for name in _ABILITIES}
        told = {"context": model.window, "state": model.state, "server": server}
        yield _entry(f"{server}/{model.id}", server, kind="text", **told, **abilities)


def _autos(workbench: Workbench, models: Sequence[Model]) -> Iterator[dict[str, Any]]:
    """`auto`, and with it each ability that one of the models is known to have."""
    if workbench.settings.all_llm_servers:
        yield _entry("auto", _OURS, kind="auto")
    for name in _ABILITIES:
        if any(getattr(model, name) for model in models):
            yield _entry(f"auto:{name}", _OURS, kind="auto", **{name: True})


def _entry(name: str, owner: str, **told: Any) -> dict[str, Any]:
    unknown = dict.fromkeys(("kind", "context", *_ABILITIES, "state", "server"))
    # Clients read a number; when a model was made nobody tells.
    return {"id": name, "object": "model", "created": 0, "owned_by": owner, "workbench": {**unknown, **told}}
