"""Comparing text models side by side: the matrix, its run, what rules, judges and people say, and the reports.

Sits on the bridge's plain types and is handed whatever asks a model (`Ask`); it knows no server. In short:

    comparison = Comparison(("llama", "qwen"), read_prompts(Path("prompts.txt")), variants_of("temperature=0,1"))
    results = await compare(comparison, ask, checks=[Rule.parse("max-words:50")], folder=Folder(Path("out")))
    results = await judge_answers(results, ask, Judge("gemma"), folder=Folder(Path("out")))
"""

from llm_bridge.compare.cache import Cache
from llm_bridge.compare.checks import Rule, parse_rules
from llm_bridge.compare.diff import Piece, word_diff
from llm_bridge.compare.files import prompts_of, read_prompts
from llm_bridge.compare.folder import Folder
from llm_bridge.compare.grids import variants_of
from llm_bridge.compare.judge import Judge, judge_answers
from llm_bridge.compare.matrix import Cell, Comparison, Prompt, Variant
from llm_bridge.compare.ranking import rank, with_preferences
from llm_bridge.compare.results import CellResult, Checked, Failure, Preference, Rank, Results
from llm_bridge.compare.run import Ask, OnChange, compare
from llm_bridge.compare.votes import Ballot, Choice, Vote, ballots, vote

__all__ = [
    "Ask",
    "Ballot",
    "Cache",
    "Cell",
    "CellResult",
    "Checked",
    "Choice",
    "Comparison",
    "Failure",
    "Folder",
    "Judge",
    "OnChange",
    "Piece",
    "Preference",
    "Prompt",
    "Rank",
    "Results",
    "Rule",
    "Variant",
    "Vote",
    "ballots",
    "compare",
    "judge_answers",
    "parse_rules",
    "prompts_of",
    "rank",
    "read_prompts",
    "variants_of",
    "vote",
    "with_preferences",
    "word_diff",
]
