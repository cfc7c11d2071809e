"""Results as a run would leave them: whole, with holes and failures, and with answers that try to break a report."""

from __future__ import annotations

from llm_bridge.chat import Metrics, Reply, Sampling, Usage
from llm_bridge.compare.matrix import Cell, Comparison, Prompt, Variant
from llm_bridge.compare.results import CellResult, Checked, Failure, Preference, Rank, Results
from llm_bridge.messages import ToolCall

HOSTILE = (
    "</script><script>window.broken = 1</script>",
    '<img src=x onerror="window.broken = 1"><!-- <script>',
    "| a | b |\n|---|---|\n| **bold** | [link](javascript:alert(1)) |",
    "```\nfenced\n````\nlonger\n``````text\n~~~",
    "nul \x00 bell \x07 escape \x1b[31m delete \x7f c1 \x9b",
    "right \u202eto left\u202c and \u2066isolated\u2069",
    "lone \ud800 and \udfff surrogates",
    "lines \u2028 and \u2029 and \x85 and \x0b and \x0c and \r\n and \r alone",
    "{{ script }} {{ report }} \\u003c /* page.css */",
    '=HYPERLINK("http://example.invalid","x")',
    "# heading\n\n- list\n\n1. number\n\n---\n\n> quote\n\n&lt; &amp; <details>",
    "中文 日本語 한국어 😀 👩‍👩‍👧 🇯🇵 e\u0301",
    "",
    " \n\t\n ",
)

METRICS = Metrics(queued=0.2, load=3.25, ttft=0.42, seconds=6.9, tokens_per_second=45.2)


def reply(text: str, reasoning: str = "") -> Reply:
    usage = Usage(prompt=40, completion=312, cached=8, reasoning=20)
    return Reply(text, reasoning, finish="stop", usage=usage, metrics=METRICS, model="served", server="ollama")


def answered(texts: tuple[str, ...], models: tuple[str, ...] = ("alpha", "beta")) -> Results:
    """A prompt for each text; the first model answers that text, the others the text and a word."""
    prompts = tuple(Prompt(f"prompt {number}", f"Question {number}?") for number in range(len(texts)))
    matrix = Comparison(models, prompts)
    by_prompt = dict(zip((prompt.name for prompt in prompts), texts, strict=True))
    return Results(
        matrix, [_answered(cell, by_prompt[cell.prompt.name], models.index(cell.model)) for cell in matrix.cells]
    )


def _answered(cell: Cell, text: str, place: int) -> CellResult:
    """Each model is a little slower than the one before it."""
    said = reply(text + (" more" if place else ""), "thought")
    return CellResult(cell, said.measured(ttft=0.42 + 0.1 * place, seconds=6.9 + place))


def hostile() -> Results:
    """Everything that a person or a model writes is hostile: names, prompts, answers, reasons, errors."""
    prompts = tuple(Prompt(f"{number} {text}", text or "?", system=text) for number, text in enumerate(HOSTILE))
    models = ("a|b`*_<b>x</b>", "</script>\x00\u202e\ud800", "=1+1\n\n# x")
    matrix = Comparison(
        models, prompts, (Variant("<i>|`\n", Sampling(temperature=0.2), extra={"\ud800": float("nan")}),)
    )
    cells = [_hostile(cell) for cell in matrix.cells]
    text = HOSTILE[0]
    told = Preference(prompts[0].name, matrix.variants[0].name, 0, models[0], models[1], "first", f"judge:{text}", text)
    return Results(matrix, cells, (told,), (Rank(models[0], 1010.0, 990.0, 1030.0, 4, 2.5),), HOSTILE)


def _hostile(cell: Cell) -> CellResult:
    text = HOSTILE[int(cell.prompt.name.split()[0])]
    if cell.model.startswith("="):
        return CellResult(cell, failure=Failure(text or "code", text, text))
    answer = Reply(text, text, (ToolCall(text, text, text),), metrics=METRICS, model=text, server=text, notes=(text,))
    return CellResult(cell, answer, checks=(Checked(text, False, text), Checked("fine", True)))


def partial() -> Results:
    """Two models, two prompts, two repeats: answers, a failure, cells that have not run, one ranked model."""
    matrix = Comparison(("alpha", "beta"), (Prompt("one", "First?"), Prompt("two", "Second?")), repeats=2)
    cells = list(matrix.cells)
    failure = Failure("server_lost", "It went away.", "Start it again.")
    checks = (Checked("contains x", True), Checked("short", False, "12 words"))
    done = [
        CellResult(cells[0], reply("The first answer.", "I think."), checks=checks),
        CellResult(cells[1], failure=failure),
        CellResult(cells[2], Reply("Nothing was measured.", finish="length"), cached=True),
    ]
    told = Preference("one", "", 0, "alpha", "beta", "tie", "judge:gamma", "Both are fine.", consistent=False)
    return Results(matrix, done, (told,), (Rank("alpha", 1012.4, None, None, 1, 0.5),), ("A note of the run.",))
