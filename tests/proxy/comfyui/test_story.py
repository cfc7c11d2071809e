"""The messages of one job, from its states alone."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from comfy_mcp.errors import ErrorRecord
from comfy_mcp.jobs import FILE, GRAPH, Asset, BoundWorkflow, Job, JobState, Output, Progress
from comfy_mcp.proxy.comfyui.shapes import entry_of
from comfy_mcp.proxy.comfyui.story import Story
from tests.proxy.comfyui.clients import graph_of

QUEUED = Job("job", "anna", GRAPH, None, BoundWorkflow(graph_of(), {}), JobState.QUEUED, datetime.now(UTC))
PICTURE = Asset("id", "2026-11/x.png", "0", "image/png", 1, "x.png", 8, 8)


def told(story: Story, job: Job) -> list[tuple[str, dict[str, Any]]]:
    messages = [json.loads(message) for message in story.of(job)]
    return [(message["type"], message["data"]) for message in messages]


def test_a_job_that_waits_is_told_of_with_nothing() -> None:
    assert told(Story(), QUEUED) == []


def test_nothing_is_told_twice() -> None:
    story, at = Story(), QUEUED.at(Progress(0.5, 1, 4, "3"))

    assert [kind for kind, _ in told(story, at)] == ["execution_start", "execution_cached", "executing", "progress"]
    assert told(story, at) == []
    assert [kind for kind, _ in told(story, QUEUED.at(Progress(0.6, 2, 4, "3")))] == ["progress"]


def test_a_preview_of_another_kind_is_left_out() -> None:
    story = Story()
    told(story, QUEUED.at(Progress()))

    frames = [list(story.of(QUEUED.at(Progress(preview=data)))) for data in (b"\x89PNG...", b"RIFF....WEBP", b"")]

    assert frames == [[b"\0\0\0\1\0\0\0\2\x89PNG..."], [], []]


def test_a_failure_names_its_node_and_no_node_is_at_work_after_it() -> None:
    error = ErrorRecord("execution_failed", "KSampler (node 3) failed: no.", "Hint.", {"node": "3", "exception": "E"})
    failed = replace(QUEUED, state=JobState.FAILED, error=error)

    events = told(Story(), failed)

    assert [kind for kind, _ in events][-2:] == ["execution_error", "executing"]
    assert events[-2][1]["node_id"] == "3" and events[-2][1]["exception_type"] == "E"
    assert events[-2][1]["exception_message"] == error.message
    assert events[-1][1]["node"] is None
    status = entry_of(failed)["status"]
    assert (status["status_str"], status["completed"], status["messages"][-1][0]) == ("error", False, "execution_error")


def test_a_job_that_expired_is_told_as_a_failure() -> None:
    expired = replace(QUEUED, state=JobState.EXPIRED)

    assert [kind for kind, _ in told(Story(), expired)][-2:] == ["execution_error", "executing"]


def test_what_an_inner_node_made_counts_as_the_outer_ones() -> None:
    made = (Output("9.0.0.1", FILE, "id"), Output("9", "text", "a house"), Output("9", FILE, "gone"))
    job = replace(QUEUED, state=JobState.SUCCEEDED, assets=(PICTURE,), outputs=made)

    assert entry_of(job)["outputs"] == {
        "9": {"images": [{"filename": "id.png", "subfolder": "", "type": "output"}], "text": ["a house"]}
    }
