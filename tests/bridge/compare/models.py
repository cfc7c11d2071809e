"""Models that answer at once, as a caller would hand them to a comparison, and results without a run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from llm_bridge.chat import ChatRequest, Event, Metrics, Reply, Text, Usage
from llm_bridge.compare import CellResult, Comparison, Failure, Prompt, Results
from llm_bridge.errors import BridgeError

Answer = str | Reply | BridgeError

PROMPTS = (Prompt("sea", "Write about the sea."), Prompt("sky", "Write about the sky."))
TWO = Comparison(("a", "b"), PROMPTS)


class Models:
    """Answers with what ``answer`` makes of the request, and remembers what it was asked, in which order."""

    def __init__(self, answer: Callable[[ChatRequest], Answer] | None = None) -> None:
        self.answer = answer or _echo
        self.requests: list[ChatRequest] = []
        self.keys: list[str] = []
        self.running = 0
        self.most_running = 0

    async def __call__(self, key: str, request: ChatRequest, on_event: Callable[[Event], None]) -> Reply:
        self.keys.append(key)
        self.requests.append(request)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            await asyncio.sleep(0)
            answer = self.answer(request)
            if isinstance(answer, BridgeError):
                raise answer
            if isinstance(answer, Reply):
                return answer
            on_event(Text(answer))
            return Reply(answer, usage=Usage(completion=len(answer)), metrics=Metrics(ttft=0.5))
        finally:
            self.running -= 1


def _echo(request: ChatRequest) -> str:
    return f"{request.model}: {request.messages[-1].text}"


def answered(answers: Mapping[str, Sequence[str | None]], prompts: Sequence[Prompt] = PROMPTS) -> Results:
    """What each model answered to each prompt; None is a failure."""
    comparison = Comparison(tuple(answers), tuple(prompts))
    cells = [
        CellResult(cell, Reply(text)) if text is not None else CellResult(cell, failure=Failure("x", "It failed."))
        for cell in comparison.cells
        for text in [answers[cell.model][prompts.index(cell.prompt)]]
    ]
    return Results(comparison, cells)
