// The texts of a node: as they grow, and as they are when it has ended.
import { el, region, setText, written } from "./elements.js";
import { legend, marked, piecesOf } from "./differences.js";

export class Texts {
  constructor(changed = () => {}) {
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

  show(texts) {
    this.growing = null;
    const empty = () => el("p", { className: "wb-quiet" }, "The text is empty.");
    this.inner.replaceChildren(...texts.map((text) => (text ? written(text) : empty())));
    this.scroll.scrollTop = 0;
    this.changed();
  }
}

/** What Text Diff found. */
export class Differing {
  constructor(changed = () => {}) {
    this.changed = changed;
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
    this.changed();
  }
}
