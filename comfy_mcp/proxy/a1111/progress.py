"""How far the caller's pictures are, and stopping them. A1111 has one state for all; here everybody has their own.

Owns the shape of that state (`modules/shared_state.py`). Only jobs that this front door waits for are seen or stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter, Response
from fastapi.responses import JSONResponse

from comfy_mcp.errors import NotFound
from comfy_mcp.jobs import Job, JobState
from comfy_mcp.proxy.asking import Owner
from comfy_mcp.proxy.making import Maker
from comfy_mcp.proxy.packing import packed_answer
from comfy_mcp.workbench import Workbench

__all__ = ["add_progress"]


def add_progress(api: APIRouter, workbench: Workbench, maker: Maker) -> None:
    async def own(owner: str) -> list[Job]:
        found: list[Job] = []
        for job in maker.waited_for(owner):
            try:
                found.append(await workbench.job(job, owner))
            except NotFound:
                continue
        return found

    async def stop(owner: Owner) -> JSONResponse:
        """End what is painted for the caller now, the oldest of several; what waits in the queue goes on waiting."""
        running = [job for job in await own(owner) if job.state is JobState.RUNNING]
        if running:
            await workbench.cancel(running[0].id, owner)
        return JSONResponse({})

    @api.get("/progress")
    async def progress(owner: Owner, skip_current_image: bool = False) -> Response:
        """How far it all is, with a preview of the picture that is painted now."""
        return await packed_answer(_progress(await own(owner), preview=not skip_current_image))

    api.add_api_route("/interrupt", stop, methods=["POST"])
    # To skip one picture is to stop: all pictures of a request are answered together, or none.
    api.add_api_route("/skip", stop, methods=["POST"])


def _progress(jobs: Sequence[Job], *, preview: bool) -> dict[str, Any]:
    done = sum(job.state.terminal for job in jobs)
    if done == len(jobs):
        return {
            "progress": 0.0,
            "eta_relative": 0.0,
            "state": _state(None, 0, 0),
            "current_image": None,
            "textinfo": None,
        }
    now = next((job for job in jobs if job.state is JobState.RUNNING), None)
    waiting = next((job for job in jobs if job.state is JobState.QUEUED), None)
    picture = None if now is None or not preview else now.progress.preview
    return {
        "progress": min((done + (0.0 if now is None else now.progress.fraction)) / len(jobs), 1.0),
        "eta_relative": 0.0 if now is None else _seconds_left(now),
        "state": _state(now or waiting, len(jobs), done),
        "current_image": picture,
        "textinfo": _place(waiting) if now is None and waiting is not None else None,
    }


def _state(job: Job | None, count: int, number: int) -> dict[str, Any]:
    return {
        "skipped": False,
        "interrupted": False,
        "stopping_generation": False,
        "job": "" if job is None else job.id,
        "job_count": count,
        "job_timestamp": "0" if job is None else job.created.strftime("%Y%m%d%H%M%S"),
        "job_no": number,
        "sampling_step": 0 if job is None else job.progress.value,
        "sampling_steps": 0 if job is None else job.progress.maximum,
    }


def _seconds_left(job: Job) -> float:
    fraction = job.progress.fraction
    if job.started is None or not fraction > 0:
        return 0.0
    spent = max(0.0, (datetime.now(UTC) - job.started).total_seconds())
    return round(spent / fraction - spent, 1)


def _place(job: Job) -> str:
    if job.place is None:
        return "Waiting in the queue"
    return f"Waiting in the queue, {job.place.position} before it"
