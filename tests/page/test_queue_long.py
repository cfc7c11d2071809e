"""A thousand waiting jobs on the page, and how little of it is changed by each change."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import anyio
from playwright.async_api import Page, expect

from comfy_mcp.jobs import BoundWorkflow, Job, JobRequest
from comfy_mcp.proxy.page.queue.changes import changed, limited
from comfy_mcp.store import Mode, NewJob, Record
from comfy_mcp.workbench import Workbench
from tests.page.conftest import At
from tests.page.tasks import tasks_of
from tests.page.test_queue import at_work

MANY = 1000
LONG = 50
"""Milliseconds."""


async def many(workbench: Workbench) -> list[Job]:
    """A thousand jobs that wait for a backend that a person paused."""
    await workbench.set_mode("comfyui", Mode.PAUSED)
    job = await workbench.submit(JobRequest("txt2img", {"prompt": "a lake", "steps": 1, "width": 64, "height": 64}))
    needs = await workbench.store.lineup.needs(job.id)
    copy = NewJob(job.owner, job.template, job.style, job.bound, model=job.model, needs=needs)

    def one(number: int) -> NewJob:
        bound: BoundWorkflow = replace(copy.bound, values={**copy.bound.values, "prompt": f"a lake, number {number}"})
        return replace(copy, bound=bound)

    await workbench.cancel(job.id)
    jobs = await workbench.store.enqueue_all(
        [one(number) for number in range(MANY)], lambda ids: Record("local", "test", "many", {"jobs": len(ids)})
    )
    workbench.notify()
    return list(jobs)


async def test_a_thousand_waiting_jobs_are_shown_and_change_without_a_long_task(
    tmp_path: Path, embedded_url: str, person: At
) -> None:
    async with at_work(tmp_path, embedded_url) as (workbench, url), person(url) as somebody:
        jobs, page = await many(workbench), somebody.page
        await somebody.go("/queue")
        waiting = page.locator("[data-list=waiting] > li")
        await expect(waiting).to_have_count(MANY)
        async with tasks_of(page) as longest:
            await workbench.line.move(jobs[-1].id, "local", "first")
            await expect(waiting.first).to_contain_text(f"number {MANY - 1}")
            for job in jobs[:100]:
                await workbench.cancel(job.id)
            await expect(waiting).to_have_count(MANY - 100)
            await workbench.set_mode("comfyui", Mode.ACTIVE)
            await expect(page.locator("[data-list=ended] .badge.good").first).to_be_visible(timeout=20_000)
            await workbench.set_mode("comfyui", Mode.PAUSED)
            await the_page_shows_what_waits(workbench, page)
            assert await workbench.line.clear("local") > 0
            await expect(waiting).to_have_count(0)
        assert 0 < longest.processor <= LONG, longest


async def the_page_shows_what_waits(workbench: Workbench, page: Page) -> None:
    """In its order, as soon as what ran has ended and the page has heard of it."""
    rows, wanted, shown = page.locator("[data-list=waiting] > li"), list[str](), list[str]([""])
    with anyio.fail_after(20):
        while shown != wanted or await workbench.store.lineup.running():
            await expect(page.locator("[data-list=running] > li")).to_have_count(0, timeout=20_000)
            wanted = [each.job for each in (await workbench.line.look()).waiting]
            shown = await rows.evaluate_all("rows => rows.map((row) => row.dataset.key)")


def test_a_browser_that_does_what_changed_has_what_is_wanted() -> None:
    drawn = random.Random(7)
    before: dict[str, str] = {}
    for _ in range(300):
        keys = [str(number) for number in range(30) if drawn.random() < 0.6]
        drawn.shuffle(keys)
        after = {key: drawn.choice("ab") for key in keys}
        gone, put = changed(before, after)
        have = [key for key in before if key not in gone]
        for key, ahead, anew in put:
            assert anew == (before.get(key) != after[key])
            if key in have:
                have.remove(key)
            have.insert(0 if ahead is None else have.index(ahead) + 1, key)
        assert have == keys
        before = after


def test_one_move_among_many_is_one_change() -> None:
    before = {str(number): "" for number in range(MANY)}
    moved = ["999", *(str(number) for number in range(MANY - 1))]
    assert changed(before, dict.fromkeys(moved, "")) == ([], [("999", None, False)])
    assert limited(["new", "1", "newer", "2"], before, 1) == ["new", "1", "2"]
