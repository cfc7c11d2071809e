"""What the dispatcher believes of the queue without looking: never for long, and never what it changed itself."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from comfy_mcp.backends import BackendConfig
from comfy_mcp.dispatch.seen import POLL_SECONDS, Seen
from comfy_mcp.jobs import BoundWorkflow
from comfy_mcp.store import NewJob, Queue, SqliteStore
from llm_bridge.scheduling import Lane
from tests.dispatch.conftest import bench, until
from tests.dispatch.hosts import Host, answered, guest

TEXT = frozenset({"text"})
ONE = [BackendConfig("llm", "text:")]
LANE = Lane(1, "me", 0, "", TEXT, 1, 0.0)


def queue_of(*lanes: Lane) -> Queue:
    return Queue(list(lanes), {}, {}, 0)


def test_only_a_queue_without_jobs_is_believed_and_no_more_once_it_changed() -> None:
    seen = Seen()
    assert seen.idle is None
    seen.see(queue_of(LANE))
    assert seen.idle is None
    seen.see(queue_of())
    assert seen.idle == queue_of()
    seen.forget()
    assert seen.idle is None


def test_it_is_believed_for_as_long_as_another_process_may_go_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    seen = Seen()
    seen.see(queue_of())
    now = POLL_SECONDS - 0.01
    assert seen.idle is not None
    now = POLL_SECONDS
    assert seen.idle is None


async def test_a_job_that_was_queued_before_a_guest_came_is_first(tmp_path: Path, log: list[str]) -> None:
    """Although the queue was seen empty a moment ago."""
    host = Host("llm", log, TEXT)
    async with bench(tmp_path, ONE, [host]) as on:
        for number in range(5):
            first = guest(f"warm {number}")
            on.dispatcher.guests.add(first)
            await answered(first)
            job = await on.queue(f"job {number}", model="a")
            on.dispatcher.guests.add(later := guest(f"guest {number}"))
            await on.ended(job)
            await answered(later)
            assert log.index(f"llm runs job {number}") < log.index(f"llm answers guest {number}")


async def test_a_job_of_another_process_gets_its_turn_while_guests_keep_coming(tmp_path: Path, log: list[str]) -> None:
    async with (
        bench(tmp_path, ONE, [Host("llm", log, TEXT)]) as on,
        SqliteStore.open(tmp_path / "jobs.sqlite3") as other,
        anyio.create_task_group() as tasks,
    ):

        async def chat() -> None:
            while True:
                each = guest("again")
                on.dispatcher.guests.add(each)
                await answered(each)

        tasks.start_soon(chat)
        await until(lambda: "llm answers again" in log)
        bound = BoundWorkflow({}, {"prompt": "theirs"})
        job = await other.enqueue(NewJob("bob", "story", None, bound, needs=TEXT))
        await on.ended(job)
        tasks.cancel_scope.cancel()
