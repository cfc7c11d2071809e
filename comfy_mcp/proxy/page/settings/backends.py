"""ComfyUIs and LLM servers: who is there and how they are; finding, adding, changing and removing them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anyio import to_thread
from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from comfy_mcp.backends.finding import Found, found_at, found_here
from comfy_mcp.errors import BackendUnavailable, ErrorRecord, NotFound
from comfy_mcp.proxy.asking import fields_of
from comfy_mcp.proxy.page.rendering import part, words_of
from comfy_mcp.proxy.page.settings.servers import answers, facts_of, is_llm, known_servers
from comfy_mcp.proxy.page.settings.tabs import shown
from comfy_mcp.settings import Settings, load_settings, said_alike
from comfy_mcp.settings.servers import check_key_name, free_name, has_secret, server_named, with_server, without_server
from comfy_mcp.settings.writing import variable_of
from comfy_mcp.workbench import Workbench

__all__ = ["add_backends"]

_PATH = "/settings/backends"
_NUMBERS = ("concurrency", "max_loaded", "cost")


def add_backends(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""

    @page.get(_PATH)
    async def show(request: Request) -> Response:
        return shown(request, "backends", **await _listed(workbench))

    @page.get(_PATH + "/{name}/facts")
    async def facts(request: Request, name: str, short: str = "") -> Response:
        member = workbench.pool.find(name)
        if member is None:
            raise NotFound(f"There is no server {name[:64]!r}.", hint="Reload the page.")
        return part(request, "settings/_facts.html", facts=await facts_of(member), short=bool(short))

    @page.post(_PATH + "/check")
    async def check(request: Request) -> Response:
        fields = await fields_of(request)
        url, key_env = fields.get("url", "")[:2000], fields.get("key_env", "").strip()[:128] or None
        check_key_name(workbench.settings, key_env)
        try:
            found, problem = [await found_at(url, key_env=key_env)], None
        except BackendUnavailable as failure:
            found, problem = [], failure.record
        return _found(request, workbench.settings, found, problem=problem, url=url, key_env=key_env or "")

    @page.post(_PATH + "/scan")
    async def scan(request: Request) -> Response:
        found = await found_here((await fields_of(request)).get("host", "")[:253])
        return _found(request, workbench.settings, found, scanned=True)

    @page.post(_PATH)
    async def add(request: Request) -> Response:
        fields = await fields_of(request)
        llm = fields.get("is_llm") == "yes"
        default = not llm and await _default_is_used(workbench)
        values = _values(fields, llm=llm)
        await workbench.change_settings(lambda settings: with_server(settings, values, llm=llm, default=default))
        return await _done(request, workbench, words_of(request)("%(name)s is added.", name=values.get("name", "")))

    @page.post(_PATH + "/{name}/change")
    async def change(request: Request, name: str) -> Response:
        old = server_named(workbench.settings, name)
        llm = is_llm(old)
        values = _values({**await fields_of(request), "name": name}, llm=llm)
        await workbench.change_settings(lambda settings: with_server(settings, values, llm=llm, instead=name))
        done = words_of(request)("%(name)s is changed.", name=name)
        new = server_named(workbench.settings, name)
        if new.url != old.url and has_secret(old) and not has_secret(new):
            done += " " + words_of(request)("It has another address, so its key or password is no longer sent there.")
        return await _done(request, workbench, done)

    @page.post(_PATH + "/{name}/remove")
    async def remove(request: Request, name: str) -> Response:
        await workbench.change_settings(lambda settings: without_server(settings, name))
        return await _done(request, workbench, words_of(request)("%(name)s is removed.", name=name))


async def _listed(workbench: Workbench, done: str = "") -> dict[str, Any]:
    fixed = await to_thread.run_sync(_fixed, workbench.settings)
    return {"servers": await known_servers(workbench, fixed), "done": done, "found": None}


def _fixed(settings: Settings) -> Mapping[str, str]:
    """The keys that cannot be changed here, by what sets them: a variable, or who started the workbench ("")."""
    written = load_settings()
    fixed: dict[str, str] = {}
    for key in ("backends", "comfyui_url", "llm_servers", "llm_url"):
        if (variable := variable_of(key)) is not None:
            fixed[key] = variable
        elif not said_alike(key, settings, written):
            fixed[key] = "start"
    return fixed


def _found(
    request: Request,
    settings: Settings,
    found: list[Found],
    *,
    problem: ErrorRecord | None = None,
    scanned: bool = False,
    **asked: str,
) -> Response:
    taken = {str(each.url).rstrip("/"): each.name for each in (*settings.all_backends, *settings.all_llm_servers)}
    each = [(one, taken.get(one.url, ""), free_name(settings, one.name)) for one in found]
    context: dict[str, Any] = {"found": each, "problem": problem, "scanned": scanned, "url": "", "key_env": "", **asked}
    return part(request, "settings/_found.html", **context)


async def _done(request: Request, workbench: Workbench, done: str) -> Response:
    if "hx-request" not in request.headers:
        return RedirectResponse(_PATH, 303)
    return part(request, "settings/_servers.html", **await _listed(workbench, done))


async def _default_is_used(workbench: Workbench) -> bool:
    """Whether the address that nobody set answers: another one beside it must not take its place."""
    settings = workbench.settings
    if settings.backends or "comfyui_url" in settings.model_fields_set:
        return False
    return await answers(workbench.pool.find(settings.all_backends[0].name))


def _values(fields: Mapping[str, str], *, llm: bool) -> dict[str, Any]:
    """What a form says of a server, without what was left empty."""
    names = ("name", "url", "card", "concurrency", *(("kind", "key_env", "max_loaded", "cost") if llm else ()))
    told: dict[str, Any] = {name: text for name in names if (text := fields.get(name, "").strip())}
    if tags := [tag.strip() for tag in fields.get("tags", "").split(",") if tag.strip()]:
        told["tags"] = tags
    return told | {name: _number(told[name]) for name in _NUMBERS if name in told}


def _number(text: str) -> int | float | str:
    """A number as TOML has it; what is none is refused with the name of its field where it is read."""
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text
