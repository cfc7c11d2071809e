"""What is told of a job and of a backend, in the reader's words.

Owns the texts. Used for the page and for its stream alike.
"""

from __future__ import annotations

from comfy_mcp.jobs import GRAPH, Job, JobState
from comfy_mcp.texts import CHAT
from comfy_mcp.ui import Words, to_say
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.reasons import Reason, Why, awaited

__all__ = ["about", "gigabytes", "model_name", "soon", "state_of", "step_of", "title_of", "why_text"]

_WHY = {
    Why.SOON: to_say("Starts as soon as it is its turn"),
    Why.BUSY: to_say("Waits for its turn on %(what)s"),
    Why.LOADS: to_say("The card is at something else; then %(what)s is loaded"),
    Why.PAUSED: to_say("Paused: %(what)s"),
    Why.AWAY: to_say("Does not answer: %(what)s"),
    Why.MISSING: to_say("No backend has: %(what)s"),
}
_STATES = {
    JobState.SUCCEEDED: to_say("Done"),
    JobState.FAILED: to_say("Failed"),
    JobState.CANCELLED: to_say("Cancelled"),
    JobState.EXPIRED: to_say("Waited too long"),
}
_STAGES = {
    "loading": to_say("Loading the model"),
    "prompt": to_say("Reading the prompt"),
    "reasoning": to_say("Thinking"),
    "text": to_say("Writing"),
}
_MINUTE, _HOUR = 60, 3600
_SUFFIXES = (".safetensors", ".ckpt", ".gguf", ".sft", ".pt", ".pth")
_ABOUT, _WHAT = 140, 120


def title_of(job: Job, workbench: Workbench, words: Words) -> str:
    """What was asked for, by the title of its template."""
    if job.template == CHAT:
        return words("Chat")
    if job.template == GRAPH:
        return words("Workflow of one's own")
    found = workbench.catalogue.templates.get(job.template)
    return words(found.title) if found else job.template


def about(job: Job) -> str:
    """A few words of the prompt."""
    told = job.values.get("prompt", "")
    text = " ".join(told[: 2 * _ABOUT].split()) if isinstance(told, str) else ""
    return text if len(text) <= _ABOUT else text[:_ABOUT] + "…"


def model_name(model: str) -> str:
    """A model without its folders and the ending of its file."""
    names = [part.replace("\\", "/").rpartition("/")[2] for part in model.split("+")] if "." in model else [model]
    for suffix in _SUFFIXES:
        names = [name.removesuffix(suffix) for name in names]
    return " + ".join(names)


def why_text(reason: Reason, words: Words) -> str:
    """Why a job waits."""
    what = model_name(reason.what) if reason.why is Why.LOADS else reason.what
    return words(_WHY[reason.why], what=what if len(what) <= _WHAT else what[:_WHAT] + "…")


def soon(seconds: float | None, words: Words) -> str:
    """When it is expected to start, so coarsely that it does not change all the time; "" when nobody knows."""
    if seconds is None:
        return ""
    if seconds < _MINUTE:
        return words("in less than a minute")
    if seconds < _HOUR:
        return words("in about %(minutes)s min", minutes=round(seconds / _MINUTE))
    return words("in about %(hours)s h", hours=round(seconds / _HOUR, 1))


def state_of(job: Job, words: Words) -> str:
    """How it ended."""
    return words(_STATES[job.state])


def step_of(job: Job, workbench: Workbench, words: Words) -> str:
    """What a running job is at, or waits for."""
    if what := awaited(job, workbench.pool):
        return words("%(what)s does not answer; the job waits for it.", what=what)
    at = job.progress
    if at.node in _STAGES:
        return words(_STAGES[at.node])
    if at.maximum > 1:
        return words("Step %(value)s of %(maximum)s", value=at.value, maximum=at.maximum)
    return words("Working") if at.fraction else words("Starting")


def gigabytes(size: int) -> str:
    """A size in memory; at most one digit after the point."""
    return f"{size / 2**30:.1f} GB"
