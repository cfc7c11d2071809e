"""The page in a real browser: as text, by keyboard, on a phone, in both schemes and on paper."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from llm_bridge.compare.reports import data, page
from llm_bridge.compare.reports.readable import visible
from tests.bridge.compare.reports.conftest import Opener
from tests.bridge.compare.reports.samples import HOSTILE, answered, hostile, partial

CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const parts = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return canvas.getImageData(0, 0, 1, 1).data;
  };
  const light = (colour) => {
    const [r, g, b] = [...parts(colour)].slice(0, 3).map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (parts(colour)[3] === 255) return colour;
    }
    return "white";
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!own || element.matches(".unseen, script, noscript, .skip") || !element.checkVisibility()) continue;
    const pair = [light(getComputedStyle(element).color), light(ground(element))].sort((a, b) => b - a);
    const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
    if (ratio < 4.5) poor.push([ratio, element.outerHTML.slice(0, 80)]);
  }
  return poor;
}"""


async def texts(tab: Page, selector: str) -> list[str]:
    """Of the elements that are seen."""
    found: list[str] = await tab.evaluate(
        "(s) => [...document.querySelectorAll(s)].filter((e) => e.checkVisibility()).map((e) => e.textContent)",
        selector,
    )
    return found


def embedded(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="report">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_the_data_in_the_page_is_that_of_the_json_and_ends_no_script() -> None:
    text = page(hostile())
    assert embedded(text)["data"] == data(hostile())
    assert text.count("</script>") == 2
    assert not {*text} & {*"\u2028\u2029\x00"}


def test_the_policy_allows_no_inline_code_but_ours_and_no_address() -> None:
    text = page(partial())
    policy = re.search('Content-Security-Policy" content="([^"]*)"', text)
    assert policy
    assert "default-src 'none'" in policy[1]
    assert "unsafe" not in policy[1]
    assert "http" not in text.replace("http-equiv", "")


async def test_hostile_answers_are_shown_as_text_and_run_nothing(opened: Opener) -> None:
    tab = await opened(hostile())
    assert await tab.evaluate("window.broken") is None
    assert await tab.locator("#rows img, #rows script, #rows a").count() == 0
    shown = await texts(tab, ".card:not(.failed) .body .text")
    for text in HOSTILE:
        if text.strip():
            assert any(one.startswith(visible(text)) for one in shown), text
    assert await tab.locator(".card.failed .badge").first.text_content() == "Failed"


async def test_code_that_comes_in_later_is_refused_by_the_policy(opened: Opener, browser: Browser) -> None:
    tab = await browser.new_page()
    await tab.set_content(page(partial()).replace("</body>", "<script>window.broken = 1</script></body>"))
    assert await tab.evaluate("window.broken") is None
    await tab.close()


async def test_what_is_missing_or_failed_is_said_in_words(opened: Opener) -> None:
    tab = await opened(partial())
    assert await texts(tab, ".badge") == [
        "Failed",
        "Cut off by the limit of tokens",
        "From an earlier run",
        *["Not run"] * 5,
    ]
    assert "Not run yet: 5 cells." in await texts(tab, "#remarks li")
    assert await texts(tab, ".verdict") == ["1 of 2 checks passed; failed: short (12 words)"]
    await tab.get_by_text("1 judgement").click()
    assert "changed its mind" in (await texts(tab, ".judged li"))[0]


async def test_the_table_sorts_by_keyboard_and_says_how(opened: Opener) -> None:
    tab = await opened(partial())
    head = tab.locator("th", has_text="First token")
    await head.locator("button").focus()
    await tab.keyboard.press("Enter")
    assert await head.get_attribute("aria-sort") == "ascending"
    assert await texts(tab, "#models tbody th") == ["alpha", "beta"]
    await tab.keyboard.press("Space")
    assert await head.get_attribute("aria-sort") == "descending"
    assert await texts(tab, "#models tbody th") == ["alpha", "beta"], "what is unknown stays last"
    assert await tab.locator("th[aria-sort=none]").count() == await tab.locator("thead button").count() - 1


async def test_text_model_and_prompt_filter_the_answers(opened: Opener) -> None:
    tab = await opened(answered(("green apples", "red pears", "blue plums"), ("alpha", "beta", "gamma")))
    assert await tab.text_content("#found") == "9 answers"
    await tab.fill("#search", "RED")
    await expect(tab.locator("#found")).to_have_text("3 of 9 answers")
    assert await texts(tab, ".card .text") == ["red pears", "red pears more", "red pears more"]
    await tab.get_by_role("checkbox", name="beta").uncheck(force=True)
    assert await texts(tab, ".card header h4") == ["alpha", "gamma"]
    await tab.fill("#search", "")
    await tab.select_option("#prompt", label="prompt 2")
    await expect(tab.locator("#found")).to_have_text("2 of 9 answers")
    await tab.fill("#search", "no such text")
    await expect(tab.locator("#found")).to_have_text("Nothing found")


async def test_answers_can_be_compared_with_those_of_a_model(opened: Opener) -> None:
    tab = await opened(answered(("one two three", "中文 same")))
    await tab.select_option("#base", label="alpha")
    assert await texts(tab, "ins") == ["more", "more"]
    assert await texts(tab, "del") == []
    await tab.select_option("#base", label="beta")
    assert await texts(tab, "del") == ["more", "more"]
    await tab.select_option("#base", index=0)
    assert await texts(tab, "ins, del, .note") == []


@pytest.mark.parametrize(
    ("before", "after", "pieces"),
    [
        ("", "", []),
        ("a b", "a b", [["same", "a b"]]),
        ("a  b", "a b", [["same", "a b"]]),
        ("a b c", "a x c", [["same", "a "], ["gone", "b "], ["new", "x "], ["same", "c"]]),
        ("", "new", [["new", "new"]]),
        ("我爱猫", "我爱狗", [["same", "我爱"], ["gone", "猫"], ["new", "狗"]]),
        ("x " * 9000, "y " * 9000, [["gone", "x " * 9000], ["new", "y " * 9000]]),
        ("x\n" * 9000, "y\n" * 9000, None),
    ],
)
async def test_the_difference_is_word_by_word(opened: Opener, before: str, after: str, pieces: object) -> None:
    tab = await opened(partial())
    assert await tab.evaluate("([before, after]) => difference(before, after)", [before, after]) == pieces


async def test_every_difference_adds_up_to_both_texts(opened: Opener) -> None:
    tab = await opened(partial())
    wrong = await tab.evaluate("""() => {
      let state = 7;
      const next = (most) => (state = (state * 48271) % 2147483647) % most;
      const words = ["a", "b ", "c\\n", "猫", ", ", "dd "];
      const some = () => Array.from({ length: next(40) }, () => words[next(6)]).join("");
      const bare = (text) => text.replace(/\\s+/g, "");
      for (let turn = 0; turn < 500; turn += 1) {
        const [one, other] = [some(), some()], pieces = difference(one, other);
        const kept = (kind) => pieces.filter((piece) => piece[0] !== kind).map((piece) => piece[1]).join("");
        if (kept("gone") !== other || bare(kept("new")) !== bare(one)) return [one, other, pieces];
      }
      return null;
    }""")
    assert wrong is None


async def test_reasoning_is_folded_and_a_long_answer_opens(opened: Opener) -> None:
    long = "word " * 10_000
    tab = await opened(answered((long,), ("alpha",)))
    assert await texts(tab, ".folded .text") == []
    await tab.get_by_text("Reasoning, 7 characters").click()
    await expect(tab.locator(".folded .text")).to_have_text("thought")
    await tab.get_by_role("button", name="Show all 50,000 characters").click()
    assert await texts(tab, ".body .text") == [long]
    assert await tab.locator(".more").get_attribute("aria-expanded") == "true"


async def test_an_answer_is_copied_as_the_model_wrote_it(opened: Opener) -> None:
    tab = await opened(answered(("a\x07b <b> 中",), ("alpha",)))
    await tab.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await tab.get_by_role("button", name="Copy the answer of alpha").click()
    await expect(tab.locator("#found")).to_have_text("Copied.")
    assert await tab.evaluate("navigator.clipboard.readText()") == "a\x07b <b> 中"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_all_text_has_contrast_in_both_schemes(opened: Opener, scheme: str) -> None:
    tab = await opened(partial(), scheme=scheme)
    await tab.select_option("#base", label="alpha")
    await tab.evaluate("document.querySelectorAll('details').forEach((details) => (details.open = true))")
    assert await tab.evaluate(CONTRAST) == []


async def test_a_phone_scrolls_down_only(opened: Opener) -> None:
    models = tuple(f"server/{'long-name-' * 8}{number}" for number in range(4))
    for results in (hostile(), partial(), answered(("x" * 500, "中" * 500), models)):
        tab = await opened(results, width=360)
        assert await tab.evaluate("document.documentElement.scrollWidth") == 360
        assert await tab.locator("#more").get_attribute("open") is None


async def test_five_hundred_cells_are_drawn_and_printed_in_full(opened: Opener) -> None:
    models = tuple(f"model {number}" for number in range(5))
    tab = await opened(answered(tuple(f"answer {number}" for number in range(100)), models))
    await tab.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert await tab.locator(".card").count() == 500
    await tab.emulate_media(media="print")
    assert await tab.locator("#tools").is_hidden()
    longest = await tab.evaluate("""async () => {
      const search = document.querySelector("#search");
      search.value = "answer 99";
      search.dispatchEvent(new Event("input"));
      let longest = 0, last = performance.now();
      while (document.querySelector("#found").textContent !== "5 of 500 answers") {
        await new Promise((next) => setTimeout(next));
        const now = performance.now();
        [longest, last] = [Math.max(longest, now - last), now];
      }
      return longest;
    }""")
    assert longest < 1500


async def test_a_megabyte_of_answer_stays_one_card(opened: Opener) -> None:
    tab = await opened(answered(("x" * 1_000_000, "short"), ("alpha",)))
    assert [len(text) for text in await texts(tab, ".body .text")] == [20_000, 5]
