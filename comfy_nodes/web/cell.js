// One answer in the table. Its parts stay and only what changes is drawn, so that what is open stays open.
import { difference, marked } from "./differences.js";
import { button, el, setText, written } from "./elements.js";
import { count, known, METRICS, STATES } from "./words.js";

/** Letters of an answer that stand open, and of the end of one that grows. */
const OPEN = 600;
const LINES = 10;
const GROWING = 300;

export class Cell {
  constructor() {
    this.sign = el("span", { aria: { hidden: "true" } });
    this.word = el("span");
    this.state = el("p", { className: "wb-state" }, this.sign, this.word);
    this.thought = written("", "wb-text wb-quiet");
    this.summary = el("summary");
    this.thinking = el("details", { hidden: true }, this.summary, this.thought);
    this.text = written("");
    this.more = button("", () => this.open(!this.opened), { className: "wb-link", hidden: true });
    this.error = written("", "wb-error");
    this.checks = el("p", { className: "wb-quiet", hidden: true });
    this.facts = el("p", { className: "wb-facts", hidden: true });
    const parts = [this.state, this.thinking, this.text, this.more, this.error, this.checks, this.facts];
    this.element = el("td", {}, ...parts);
    this.opened = false;
    this.told = { state: "waiting" };
    this.draw();
  }

  get ended() {
    return this.told.state === "done" || this.told.state === "failed";
  }

  show(told) {
    this.told = told;
    this.draw();
  }

  draw() {
    this.comparing = null;
    const { state, reasoning, error, checks, text = "" } = this.told;
    const [sign, word] = STATES[state] ?? ["", state];
    this.element.dataset.state = state;
    setText(this.sign, sign);
    setText(this.word, word);
    this.state.hidden = state === "done";
    this.thinking.hidden = !reasoning;
    setText(this.summary, this.ended && reasoning ? `Reasoning, ${count(reasoning.length, "character")}` : "Reasoning");
    setText(this.thought, reasoning ?? "");
    // Where nothing is gone, what marks the differences has the very text of the answer.
    if (this.text.firstElementChild) this.text.replaceChildren();
    setText(this.text, this.ended ? text || (state === "done" ? "The answer is empty." : "") : end(text));
    this.text.classList.toggle("wb-quiet", this.ended && !text);
    setText(this.error, error ?? "");
    setText(this.checks, checks ? checked(checks) : "");
    setText(this.facts, this.figures().join(" · "));
    this.open(this.opened);
  }

  figures() {
    const figures = METRICS.filter(({ key }) => known(this.told[key])).map(({ key, told }) => told(this.told[key]));
    return this.told.cached ? [...figures, "from an earlier run"] : figures;
  }

  /** All of a long answer, or its beginning. */
  open(opened) {
    const { text = "" } = this.told;
    const long = this.ended && (text.length > OPEN || text.split("\n", LINES + 1).length > LINES);
    this.opened = opened;
    this.text.classList.toggle("wb-clipped", long && !opened);
    this.more.hidden = !long;
    this.more.setAttribute("aria-expanded", String(opened));
    setText(this.more, long ? (opened ? "Show less" : `Show all ${count(text.length, "character")}`) : "");
  }

  /** Shows the answer as what differs from that of another cell, as long as both have one. */
  async compare(other) {
    const { state, text } = this.told;
    const comparing = (this.comparing = {});
    if (state !== "done" || other.told.state !== "done" || !text) return;
    const pieces = await difference(other.told.text, text);
    if (this.comparing !== comparing) return;
    const same = pieces?.every(([kind]) => kind === "same");
    const note = pieces ? (same ? "The same answer." : "") : "Too different to compare word by word.";
    const parts = pieces && !same ? marked(pieces) : text;
    this.text.replaceChildren(...(note ? [el("em", {}, note), el("br")] : []), parts);
  }
}

function end(text) {
  return text.length > GROWING ? `… ${text.slice(-GROWING).replace(/^[\udc00-\udfff]/, "")}` : text;
}

function checked(checks) {
  const failed = checks.filter(({ passed }) => !passed);
  if (!failed.length) return `✓ ${count(checks.length, "check")} passed`;
  const why = failed.map(({ rule, told }) => (told ? `${rule} (${told})` : rule));
  return `✕ ${failed.length} of ${count(checks.length, "check")} failed: ${why.join("; ")}`;
}
