"""The doctor: every check of the running workbench, each shown as it is known."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from comfy_mcp.doctor import Finding, Verdict, examine_running
from comfy_mcp.errors import WorkbenchError
from comfy_mcp.proxy.page.rendering import language_of, words_of
from comfy_mcp.proxy.page.settings.tabs import ADMINISTRATOR, shown
from comfy_mcp.ui import environment
from comfy_mcp.workbench import Workbench

__all__ = ["add_doctor"]


def add_doctor(page: APIRouter, workbench: Workbench) -> None:
    """Add these routes to the page."""

    @page.get("/settings/doctor", dependencies=[ADMINISTRATOR])
    async def show(request: Request, whole: str = "") -> Response:
        """With ``whole`` everything at once, for a browser without scripts."""
        findings = [each async for each in examine_running(workbench)] if whole else []
        return shown(
            request, "doctor", findings=findings, whole=bool(whole), counts=_counts(findings), say=words_of(request)
        )

    @page.get("/settings/doctor/events", dependencies=[ADMINISTRATOR])
    async def events(request: Request) -> Response:
        return EventSourceResponse(_told(request, workbench))


async def _told(request: Request, workbench: Workbench) -> AsyncGenerator[ServerSentEvent]:
    seen: list[Finding] = []
    try:
        async with aclosing(examine_running(workbench)) as findings:
            async for finding in findings:
                seen.append(finding)
                yield ServerSentEvent(_rendered(request, "_finding", finding=finding), event="finding")
                yield ServerSentEvent(_rendered(request, "_counts", counts=_counts(seen), over=False), event="counts")
    except WorkbenchError as failure:
        broken = Finding("doctor", Verdict.BAD, failure.message, failure.hint)
        seen.append(broken)
        yield ServerSentEvent(_rendered(request, "_finding", finding=broken), event="finding")
    yield ServerSentEvent(_rendered(request, "_counts", counts=_counts(seen), over=True), event="counts")
    yield ServerSentEvent("", event="end")


def _counts(findings: list[Finding]) -> dict[str, int]:
    found = Counter(str(finding.verdict) for finding in findings)
    return {verdict: found[verdict] for verdict in ("ok", "note", "bad")}


def _rendered(request: Request, name: str, **context: Any) -> str:
    template = environment(language_of(request), "comfy_mcp.proxy.page").get_template(f"settings/{name}.html")
    return template.render(say=words_of(request), **context)
