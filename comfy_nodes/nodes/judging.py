"""Judge, Vote and Pick Best: who says which answer is better, and the answer that is taken on."""

from __future__ import annotations

import asyncio
from typing import Any

from comfy_nodes.host import Running
from comfy_nodes.judging import judged, ranking_text, to_vote, up_to_date
from comfy_nodes.nodes import widgets
from comfy_nodes.picking import WAYS, best_answers
from comfy_nodes.runs import voted
from comfy_nodes.table import table_of
from comfy_nodes.thread import on_bridge
from comfy_nodes.values import Compared, Provider
from llm_bridge.compare import Judge as Judging
from llm_bridge.compare import Results
from llm_bridge.compare.judge import CRITERIA

__all__ = ["Judge", "PickBest", "Vote"]

_STAY, _UNLOAD = "leave loaded", "at the end"
_RESULTS = ("LLM_RESULTS", {"tooltip": "From LLM Compare, Judge or Vote."})
_RANKING = "The models, the strongest first, as Markdown."


class Judge:
    """A model that says which of two answers is better, asked in both orders."""

    DISPLAY_NAME = "Judge"
    CATEGORY = "Workbench/Compare"
    DESCRIPTION = (
        "A model compares the answers in pairs and is asked twice for each, in both orders, since models prefer what "
        "stands first. Take one that is larger than those it judges, and none of them. What one model alone answered "
        "passes as it is."
    )
    RETURN_TYPES = ("LLM_RESULTS", "STRING", "STRING")
    RETURN_NAMES = ("results", "ranking", "winner")
    OUTPUT_TOOLTIPS = (
        "The results with the ranking.",
        _RANKING,
        "The strongest model; of equal ones the first by name.",
    )
    FUNCTION = "judge"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "results": _RESULTS,
                "judge": (
                    "STRING",
                    {"default": "auto:large", "tooltip": "The model that judges: server/model, or auto:large."},
                ),
                "criteria": widgets.text(default=CRITERIA),
                "seed": widgets.seed("The same seed, judge and criteria are not asked again; another seed is."),
                "most_pairs": (
                    "INT",
                    {"default": 200, "min": 1, "max": 10_000, "tooltip": "Pairs of answers; each is asked twice."},
                ),
                "max_tokens": widgets.max_tokens(
                    2048, "Of one judgement, with what the judge thinks before it. 0 leaves it to the server."
                ),
                "show_images": (
                    "BOOLEAN",
                    {"default": True, "tooltip": "Show the judge the pictures of a prompt; it must be able to see."},
                ),
                "unload": ([_STAY, _UNLOAD], {"tooltip": "Whether the judge stays in memory when it is done."}),
            },
            "optional": {"provider": ("LLM_PROVIDER", {"tooltip": "Without one, any server that has the judge."})},
            "hidden": {"unique_id": "UNIQUE_ID"},
        }  # fmt: skip

    async def judge(
        self,
        *,
        results: Compared,
        judge: str,
        criteria: str,
        seed: int,
        most_pairs: int,
        max_tokens: int,
        show_images: bool,
        unload: str,
        provider: Provider | None = None,
        unique_id: str | None = None,
    ) -> dict[str, Any]:
        running = Running(unique_id)
        sampling = widgets.sampling_of(seed=seed, temperature=0.0, max_tokens=max_tokens)
        asked = Judging(judge.strip(), criteria.strip() or CRITERIA, most_pairs, show_images, sampling)
        done = await on_bridge(
            running, lambda: judged(running, results, asked, provider or Provider(), unload=unload == _UNLOAD)
        )
        ranking = ranking_text(done.results)
        running.text(ranking, last=True)
        table = await asyncio.to_thread(table_of, done)
        return {
            "ui": {"comparison": [table], "text": [ranking]},
            "result": (done, ranking, _winner(done.results)),
        }


def _winner(results: Results) -> str:
    """The strongest model; without a ranking the only one that answered."""
    if results.ranking:
        return results.ranking[0].model
    answered = {result.cell.model for result in results.cells if result.reply is not None}
    return answered.pop() if len(answered) == 1 else ""


class Vote:
    """People vote in the node, without knowing which model wrote what. The graph does not wait for them."""

    DISPLAY_NAME = "Vote"
    CATEGORY = "Workbench/Compare"
    DESCRIPTION = "Shows the answers without their models, to vote on. Queue the graph again to go on with the votes."
    RETURN_TYPES = ("LLM_RESULTS", "STRING")
    RETURN_NAMES = ("results", "ranking")
    OUTPUT_TOOLTIPS = ("The results with all votes so far.", _RANKING)
    FUNCTION = "vote"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "results": _RESULTS,
                "voter": ("STRING", {"default": "me", "tooltip": "Your name: everybody votes on their own."}),
            },
            "hidden": {"unique_id": "UNIQUE_ID"},
        }

    @classmethod
    def IS_CHANGED(cls, **_: object) -> float:
        return voted()

    async def vote(self, *, results: Compared, voter: str, unique_id: str | None = None) -> dict[str, Any]:
        running = Running(unique_id)
        now = await on_bridge(running, lambda: up_to_date(results))
        ballots, left = await on_bridge(running, lambda: to_vote(now, voter.strip()))
        shown = {"run": now.run, "ballots": ballots, "left": left}
        return {"ui": {"vote": [shown]}, "result": (now, ranking_text(now.results))}


class PickBest:
    """One answer for each prompt, to go on with."""

    DISPLAY_NAME = "Pick Best"
    CATEGORY = "Workbench/Compare"
    DESCRIPTION = "Takes the best answer to each prompt, as text for other nodes: to paint it, for example."
    RETURN_TYPES = ("STRING", "STRING", "STRING")
    RETURN_NAMES = ("text", "model", "prompt")
    OUTPUT_IS_LIST = (True, True, True)
    OUTPUT_TOOLTIPS = (
        "The answers, one for each prompt that has any.",
        "Which model wrote each.",
        "The name of each prompt.",
    )
    FUNCTION = "pick"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "results": _RESULTS,
                "by": (
                    list(WAYS),
                    {"tooltip": "Ranking is what judges and voters prefer; fastest counts tokens per second."},
                ),
                "prompts": (
                    "STRING",
                    {"default": "", "tooltip": "A prompt's name, or a pattern such as sea*. Empty is every prompt."},
                ),
            }
        }

    async def pick(self, *, results: Compared, by: str, prompts: str) -> dict[str, Any]:
        best = await asyncio.to_thread(best_answers, results.results, by, prompts)
        texts = [answer.reply.text for answer in best if answer.reply is not None]
        cells = [answer.cell for answer in best]
        chosen = (texts, [cell.model for cell in cells], [cell.prompt.name for cell in cells])
        return {"ui": {"text": texts}, "result": chosen}
