"""The Markdown is read by a real parser: whatever the models wrote stays text, and every table keeps its shape."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from llm_bridge.chat import Reply
from llm_bridge.compare import CellResult, Comparison, Prompt, Results
from llm_bridge.compare.reports import markdown, models_table
from llm_bridge.compare.reports.markdown import LONGEST, fence, inline
from llm_bridge.compare.reports.readable import visible
from tests.bridge.compare.reports.samples import HOSTILE, answered, hostile, partial

PARSER = MarkdownIt("commonmark").enable("table").enable("strikethrough")
OURS = {"<details>", "</details>", "<summary>", "</summary>"}


def parsed(text: str) -> list[Token]:
    return PARSER.parse(text)


def columns_of(tokens: list[Token]) -> list[int]:
    """How many cells each row of each table has."""
    counts: list[int] = []
    for token in tokens:
        if token.type == "tr_open":
            counts.append(0)
        elif token.type in ("th_open", "td_open"):
            counts[-1] += 1
    return counts


def first_cells(tokens: list[Token]) -> list[str]:
    """The text of the first cell of each row under a head."""
    texts: list[str] = []
    for number, token in enumerate(tokens):
        if token.type == "td_open" and tokens[number - 1].type == "tr_open":
            texts.append("".join(child.content for child in tokens[number + 1].children or ()))
    return texts


def shown(text: str) -> str:
    return " ".join(visible(text).split())


def test_hostile_text_is_neither_markup_nor_html() -> None:
    tokens = parsed(markdown(hostile()))
    blocks = "".join(token.content for token in tokens if token.type == "html_block")
    assert set(re.findall("<[^>]*>", blocks)) == OURS
    inlines = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in inlines} <= {
        "text",
        "strong_open",
        "strong_close",
        "softbreak",
        "em_open",
        "em_close",
    }
    assert {token.tag for token in tokens if token.type == "heading_open"} == {"h1", "h2", "h3", "h4"}
    headings = [token for token in tokens if token.type == "heading_open"]
    prompts = len(hostile().comparison.prompts)
    assert [len([h for h in headings if h.tag == tag]) for tag in ("h1", "h2", "h3", "h4")] == [1, 3, prompts, prompts]


def test_tables_keep_their_columns() -> None:
    tokens = parsed(markdown(hostile()))
    counts = columns_of(tokens)
    models = len(hostile().comparison.models)
    assert len({*counts[: models + 1]}) == 1
    assert counts[models + 1 :] == [4, 4]
    names = [shown(name) for name in hostile().comparison.models]
    # A parser drops the cells that are too many: so that they say the same, no sign in them was taken for a border.
    assert first_cells(tokens) == [*names, names[0]]


def test_every_answer_stands_whole_in_a_fence_of_its_own() -> None:
    fenced = [token.content for token in parsed(markdown(answered(HOSTILE))) if token.type == "fence"]
    for text in HOSTILE:
        if text.strip():
            assert visible(text) + "\n" in fenced


@given(st.text() | st.text(st.sampled_from("`~ \n>ab")))
@example("```")
@example("a\n`````\nb")
def test_a_fence_holds_any_text(text: str) -> None:
    tokens = parsed(f"{fence(text)}\n\nafter")
    assert [token.type for token in tokens][:2] == ["fence", "paragraph_open"]
    # The parser puts a mark in place of what is no character, as the standard says.
    assert tokens[0].content == visible(text) + "\n"


@given(st.text(st.sampled_from("a |`*_[]<>#~&\\-+=1.)!$\n\r\x00\u202e")))
def test_inline_text_is_one_line_of_text(text: str) -> None:
    line = inline(text)
    tokens = parsed(line)
    assert [token.type for token in tokens] in ([], ["paragraph_open", "inline", "paragraph_close"])
    assert "".join(child.content for token in tokens for child in token.children or ()) == shown(text)
    assert first_cells(parsed(f"| a | b |\n| - | - |\n| {line} | x |")) == [shown(text)]


def test_what_is_missing_failed_or_unranked_is_said() -> None:
    text = markdown(partial())
    assert "- Not run yet: 5 cells." in text
    assert "**beta** — **failed** (server\\_lost): It went away. Start it again." in text
    assert text.count("— not run yet") == 5
    assert "| beta | – | 0 of 1 |" in text
    assert "measured: – · **cut off by the limit of tokens** · from an earlier run" in text
    assert "1 of 2 checks passed; failed: short (12 words)" in text
    assert "- judge:gamma: alpha and beta alike" in text


def test_a_very_long_answer_is_cut_and_the_cut_is_told() -> None:
    text = markdown(answered(("word " * 200_000,), ("alpha",)))
    assert f"_The first {LONGEST:,} of 1,000,000 characters._" in text
    assert len(text) < 2 * LONGEST


def test_answers_that_are_mostly_the_same_say_where_they_differ_from_the_first() -> None:
    answers = (
        "The sea is blue. ``` [x]",
        "The sky is blue. ``` [x]",
        "Nothing like it at all",
        "The sea is blue. ``` [x]",
    )
    matrix = Comparison(("a", "b", "c", "d"), (Prompt("p", "?"),))
    cells = [CellResult(cell, Reply(text)) for cell, text in zip(matrix.cells, answers, strict=True)]
    text = markdown(Results(matrix, cells))
    assert text.count("What differs from the first answer") == 1
    fenced = [token.content for token in parsed(text) if token.type == "fence"]
    assert fenced[3] == "The [-sea -]{+sky +}is blue. ``` [x]\n"
    assert text.index("What differs") < text.index("**c**")


def test_the_table_of_models_stands_alone() -> None:
    table = models_table(partial())
    assert table in markdown(partial())
    assert columns_of(parsed(table))[0] == len(table.splitlines()[0].split("|")) - 2
    assert "| alpha | 1012 | 2 of 2 |" in table
