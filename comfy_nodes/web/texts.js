// The texts of a node: as they grow, and as they are when it has ended.
import { el, region, setText, written } from "./elements.js";
import { legend, marked, piecesOf } from "./differences.js";
import { STATES } from "./words.js";

/** What is told while no text grows yet; of several texts after which of them it is. */
const STATUS =
  /^(\w+ \d+ of \d+\n\n)?(?:(?:Waiting: |Loading |Reading the prompt ).*|.* does not answer; trying again .*)…$/;

export class Texts {
  /** `changed` is called when there is something else to show. */
  constructor(changed) {
    this.changed = changed;
    const empty = el("p", { className: "wb-quiet wb-empty" }, "The text appears here while it is written.");
    this.inner = el("div", {}, empty);
    this.scroll = region("Text", this.inner);
    this.element = el("div", { className: "wb-texts" }, this.scroll);
  }

  /** What there is so far. Follows the end, unless somebody has scrolled up to read. */
  live(text) {
    const follows = this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight < 24;
    if (!this.growing?.isConnected) this.inner.replaceChildren((this.growing = written("")));
    setText(this.growing, text);
    this.changed();
    if (follows) this.scroll.scrollTop = this.scroll.scrollHeight;
  }

  /** The whole texts; `facts` has a line on each, where something is known of it. */
  show(texts, facts = []) {
    this.growing = null;
    const several = texts.length > 1;
    const blocks = texts.map((text, at) => {
      const told = [several && `${at + 1} of ${texts.length}`, facts[at]].filter(Boolean).join(" · ");
      const shown = text ? written(text) : el("p", { className: "wb-quiet" }, "The text is empty.");
      return el("div", { className: "wb-item" }, shown, told && el("p", { className: "wb-facts", dir: "auto" }, told));
    });
    this.inner.replaceChildren(...blocks);
    this.scroll.scrollTop = 0;
    this.changed();
  }

  /** The graph ended before the text did, in the way that `state` names. */
  stop(state) {
    const text = (this.growing?.textContent ?? "").replace(STATUS, "$1").replace(/^Thinking …$/m, "Reasoning").trim();
    const end = el("p", { className: "wb-end", data: { state } }, STATES[state].join(" "));
    this.growing = null;
    this.inner.replaceChildren(...(text ? [written(text)] : []), end);
    this.changed();
    this.scroll.scrollTop = this.scroll.scrollHeight;
  }
}

const FIELDS = /"(\w+)"\s*:\s*"((?:[^"\\]|\\["\\/bfnrt]|\\u[\da-f]{4})*)/gi;

/** A JSON object that grows below a line of its own, as the texts in it; anything else as it is. */
export function prompted(text) {
  const [, line = "", object] = text.match(/^(.*\n\n)?\s*(\{\s*(?:"[^]*)?)$/) ?? [];
  if (!object) return text;
  const read = (written) => JSON.parse(`"${written.replace(/\p{Cc}/gu, " ")}"`);
  const told = ([, name, written]) => (name === "prompt" ? read(written) : `${name}: ${read(written)}`);
  return line + Array.from(object.matchAll(FIELDS), told).join("\n\n");
}

/** What Text Diff found. */
export class Differing {
  constructor() {
    const empty = el("p", { className: "wb-quiet wb-empty" }, "Run the graph: here comes what was removed and added.");
    this.legend = el("div", { hidden: true }, legend("the left text", "the right text"));
    this.inner = el("div", {}, empty);
    this.element = el("div", { className: "wb-texts" }, this.legend, region("Differences", this.inner));
  }

  show(found) {
    const same = found.every(({ op }) => op === "same");
    this.legend.hidden = same;
    const note = el("p", { className: "wb-quiet" }, "The same text.");
    this.inner.replaceChildren(...(same ? [note] : []), marked(piecesOf(found)));
  }
}
