"""What the workbench page costs a browser: the first load, and a queue of a thousand waiting jobs.

    WORKBENCH_TEST_CHROMIUM=/usr/bin/chromium python -m benchmarks.page [--jobs 1000]

Prints a table of figures with their targets: bytes over the wire and milliseconds until `/` is ready, in a browser that
has nothing of it yet; and of the queue page the time to its first paint, until all jobs are on it, and the longest task
of its thread while jobs are moved, are cancelled and run: by the clock, which is for a quiet machine, and by what the
task itself had of a processor.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
from playwright.async_api import Browser, Page, async_playwright, expect

from benchmarks.figures import Figure
from benchmarks.overhead import engine
from comfy_mcp.jobs import Job, JobRequest
from comfy_mcp.proxy import listening
from comfy_mcp.settings import load_settings
from comfy_mcp.store import Mode, NewJob, Record
from comfy_mcp.workbench import Workbench
from tests.page.tasks import tasks_of

SIZES = "performance.getEntries().reduce((sum, each) => sum + (each.transferSize ?? 0), 0)"
READY = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"


@asynccontextmanager
async def page_of(browser: Browser) -> AsyncGenerator[Page]:
    """A page in a browser that has seen nothing."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900})
    yield await context.new_page()
    await context.close()


async def first_load(browser: Browser, url: str) -> list[Figure]:
    async with page_of(browser) as page:
        await page.goto(url, wait_until="networkidle")
        size, ready = await page.evaluate(SIZES), await page.evaluate(READY)
    return [
        Figure("first load of /, over the wire", size / 1000, "kB", most=150, digits=1),
        Figure("first load of /, until it is ready", ready, most=1000, digits=0),
    ]


async def waiting_jobs(workbench: Workbench, jobs: int) -> list[Job]:
    """Alike jobs for a backend that a person paused."""
    await workbench.set_mode("comfyui", Mode.PAUSED)
    values = {"prompt": "a lake", "steps": 1, "width": 64, "height": 64}
    job = await workbench.submit(JobRequest("txt2img", values))
    needs = await workbench.store.lineup.needs(job.id)
    new = NewJob(job.owner, job.template, job.style, job.bound, model=job.model, needs=needs)
    await workbench.cancel(job.id)

    def one(number: int) -> NewJob:
        shown = {**new.bound.values, "prompt": f"a lake, number {number}"}
        return replace(new, bound=replace(new.bound, values=shown))

    every = [one(number) for number in range(jobs)]
    queued = await workbench.store.enqueue_all(every, lambda ids: Record("local", "benchmark", "jobs", {}))
    workbench.notify()
    return list(queued)


async def long_queue(browser: Browser, workbench: Workbench, url: str, most: int) -> list[Figure]:
    jobs = await waiting_jobs(workbench, most)
    async with page_of(browser) as page:
        await page.goto(url + "/queue")
        rows = page.locator("[data-list=waiting] > li")
        await expect(rows).to_have_count(most, timeout=60_000)
        paint, filled = await page.evaluate(PAINT), await page.evaluate("performance.now()")
        async with tasks_of(page) as tasks:
            await workbench.line.move(jobs[-1].id, "local", "first")
            await anyio.sleep(1)
            for job in jobs[: most // 10]:
                await workbench.cancel(job.id)
            await workbench.set_mode("comfyui", Mode.ACTIVE)
            await anyio.sleep(5)
            await workbench.set_mode("comfyui", Mode.PAUSED)
            await workbench.line.clear("local", running=True)
            await anyio.sleep(3)
        await expect(rows).to_have_count(0, timeout=60_000)
    return [
        Figure(f"queue of {most} jobs, until the first paint", paint, most=1000, digits=0),
        Figure(f"queue of {most} jobs, until all are on the page", filled, digits=0),
        Figure(f"queue of {most} jobs, longest task while it changes", tasks.clock, most=50, digits=0),
        Figure(
            f"queue of {most} jobs, longest task while it changes, of a processor", tasks.processor, most=50, digits=0
        ),
    ]


async def measure(jobs: int) -> list[Figure]:
    async with engine() as comfyui, async_playwright() as playwright:
        chromium = os.environ.get("WORKBENCH_TEST_CHROMIUM")
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        with tempfile.TemporaryDirectory() as data:
            settings = load_settings(data=Path(data), comfyui_url=comfyui, port=0, max_queue=2 * jobs)
            async with Workbench.open(settings) as workbench, listening(workbench) as url:
                address = str(url).rstrip("/")
                figures = await first_load(browser, address)
                figures += await long_queue(browser, workbench, address, jobs)
        await browser.close()
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description="What the workbench page costs a browser.")
    parser.add_argument("--jobs", type=int, default=1000)
    for figure in anyio.run(measure, parser.parse_args().jobs):
        print(figure)


if __name__ == "__main__":
    main()
