"""What holds for every queue, whatever arrives, leaves and breaks: drawn days in front of servers in this process."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from llm_bridge.chat import Done, Event, Loading, Prompting, Reasoning, Text, Waiting
from llm_bridge.errors import BridgeError, ServerLost
from llm_bridge.queue import Queue
from tests.bridge.boxes import Box, boxes, said

STAGES: dict[type, int] = {Waiting: 0, Loading: 1, Prompting: 2, Text: 3, Reasoning: 3, Done: 4}


@dataclass(frozen=True)
class Job:
    """``leaves`` after so many seconds, None to stay to the end."""

    model: str
    owner: str = "me"
    priority: int = 0
    words: str = "Hello."
    after: float = 0.0
    leaves: float | None = None


@dataclass
class Day:
    """What was seen: how each job ended, and everything that must not be."""

    ends: Counter[str] = field(default_factory=Counter[str])
    faults: list[str] = field(default_factory=list[str])


SECONDS = st.sampled_from([0.0, 0.0, 0.002, 0.01, 0.03])
MODELS = st.sampled_from(["a", "b", "c"])
OWNERS = st.sampled_from(["me", "you"])
JOBS = st.builds(
    Job,
    MODELS,
    OWNERS,
    st.integers(0, 1),
    st.sampled_from(["Hello."] * 6 + ["lost", "reset"]),
    SECONDS,
    st.sampled_from([None, None, 0.0, 0.001, 0.005, 0.02]),
)
CARDS = st.sampled_from(["", "gpu"])


@given(st.lists(JOBS, max_size=20), CARDS, st.integers(1, 3), st.none() | SECONDS, st.sampled_from([None, 0, 0.01]))
@settings(max_examples=40, deadline=None)
def test_every_request_ends_once_and_no_card_does_two_things(
    jobs: Sequence[Job], card: str, slots: int, dies: float | None, keep: float | None
) -> None:
    day = asyncio.run(_live(jobs, card, slots, dies, keep))
    assert day.faults == []
    assert day.ends.total() == len(jobs)
    assert day.ends["left"] <= sum(job.leaves is not None for job in jobs)
    assert day.ends["lost"] <= sum(job.words in ("lost", "reset") for job in jobs) + (dies is not None) * 2 * slots


async def _live(jobs: Sequence[Job], card: str, slots: int, dies: float | None, keep: float | None) -> Day:
    day = Day()
    made = [Box(name, ("a", "b", "c"), card=card, slots=slots) for name in ("left", "right")]
    async with boxes(*made), Queue.open([box.endpoint for box in made], keep=keep) as queue, asyncio.timeout(20):
        watching = asyncio.create_task(_watch(queue, card, slots, day))
        async with asyncio.TaskGroup() as tasks:
            for job in jobs:
                tasks.create_task(_do(queue, job, day))
            if dies is not None:
                tasks.create_task(_break(made[0], dies))
        watching.cancel()
        shown = queue.snapshot()
        if shown.waiting or any(view.running or view.waiting for view in shown.servers):
            day.faults.append(f"left over: {shown}")
    return day


async def _watch(queue: Queue, card: str, slots: int, day: Day) -> None:
    while True:
        views = queue.snapshot().servers
        for view in views:
            if sum(view.running.values()) > slots:
                day.faults.append(f"more than {slots} run: {view}")
            if len(view.running) > 1:
                day.faults.append(f"two models run: {view}")
        if card and sum(bool(view.running) for view in views) > 1:
            day.faults.append(f"two servers use one card: {views}")
        await asyncio.sleep(0)


async def _break(box: Box, after: float) -> None:
    await asyncio.sleep(after)
    await box.kill()
    await asyncio.sleep(0.02)
    await box.start()


async def _do(queue: Queue, job: Job, day: Day) -> None:
    await asyncio.sleep(job.after)
    events: list[Event] = []
    try:
        async with asyncio.timeout(job.leaves):
            async with queue.stream(said(job.model, job.words), owner=job.owner, priority=job.priority) as stream:
                async for event in stream:
                    events.append(event)
        day.ends["done"] += 1
        if not isinstance(events[-1], Done) or stream.reply.text != "Hi":
            day.faults.append(f"not whole: {events}")
    except TimeoutError:
        day.ends["left"] += 1
    except ServerLost:
        day.ends["lost"] += 1
    except BridgeError as failure:
        day.faults.append(f"failed: {failure!r}")
    stages = [STAGES[type(event)] for event in events]
    if stages != sorted(stages):
        day.faults.append(f"out of order: {events}")


@given(st.lists(st.builds(Job, MODELS, OWNERS, st.integers(0, 1)), min_size=1, max_size=25), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_a_burst_loads_each_model_once_for_each_priority_after_the_first_to_come(
    jobs: Sequence[Job], slots: int
) -> None:
    box = asyncio.run(_burst(jobs, slots))
    assert len(box.loads) <= 1 + len({(job.priority, job.model) for job in jobs})
    assert len(box.seen_running) == len(jobs)
    assert all(len(running) == 1 and running.total() <= slots for running in box.seen_running)
    order = [int(body["messages"][0]["content"]) for body in box.bodies("POST /v1/chat/completions")]
    # The first to come begins at once; after it nobody goes before who is more important.
    assert slots > 1 or order[1:] == sorted(order[1:], reverse=True)


async def _burst(jobs: Sequence[Job], slots: int) -> Box:
    async with boxes(box := Box("box", ("a", "b", "c"), slots=slots)), Queue.open([box.endpoint]) as queue:
        asked = [queue.ask(said(job.model, str(job.priority)), owner=job.owner, priority=job.priority) for job in jobs]
        async with asyncio.timeout(20):
            await asyncio.gather(*asked)
    return box
