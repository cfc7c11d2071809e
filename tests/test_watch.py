"""The notice board: nobody misses a notice, nobody waits for ever."""

from __future__ import annotations

import anyio

from comfy_mcp.jobs import Progress
from comfy_mcp.watch import Board, Notice

NOTHING = Notice((), changed=False)


async def test_a_notice_wakes_who_waits_and_no_other() -> None:
    board = Board()
    with board.watching("mine") as mine, board.watching("other") as other:
        board.post("mine")
        assert (await mine.wait(5)).changed
        assert await other.wait(0.01) == NOTHING


async def test_a_notice_before_the_wait_is_not_missed() -> None:
    board = Board()
    with board.watching("job") as watcher:
        board.post("job")
        board.post("job")
        assert (await watcher.wait(5)).changed
        assert await watcher.wait(0.01) == NOTHING


async def test_a_notice_reaches_a_waiter_that_is_waiting() -> None:
    board = Board()
    with board.watching_work() as watcher:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep, 0)
            board.post_work()
            with anyio.fail_after(5):
                assert (await watcher.wait(5)).changed


async def test_progress_is_kept_in_order_and_does_not_count_as_a_change() -> None:
    board = Board()
    with board.watching("job") as watcher:
        steps = [Progress(step / 20) for step in range(20)]
        for step in steps:
            board.post_progress("job", step)
        assert await watcher.wait(5) == Notice(tuple(steps), changed=False)


async def test_progress_is_there_until_the_job_is_forgotten() -> None:
    board = Board()
    with board.watching("job") as watcher:
        board.post_progress("job", Progress(0.5))
        assert board.progress("job") == Progress(0.5)
        board.forget("job")
        assert (await watcher.wait(5)).changed
        assert board.progress("job") is None


async def test_what_is_taken_is_not_told_again() -> None:
    board = Board()
    with board.watching("job") as watcher:
        board.post_progress("job", Progress(0.1))
        board.post_progress("job", Progress(0.2))
        assert watcher.oldest == Progress(0.1)
        assert watcher.taken() == (Progress(0.1), Progress(0.2))
        assert watcher.oldest is None
        assert await watcher.wait(0.01) == NOTHING


async def test_who_only_comes_to_be_answered_wakes_the_dispatcher_and_changed_nothing() -> None:
    board = Board()
    with board.watching_work() as work:
        board.post_guest()
        assert not work.changed
        with anyio.fail_after(5):
            assert await work.wait(60) == Notice((), changed=False)
        board.post_guest()
        board.post_work()
        assert work.changed
        assert await work.wait(60) == Notice((), changed=True)
        assert not work.changed
