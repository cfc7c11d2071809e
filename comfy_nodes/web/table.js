// The table of a comparison: prompts down, models across. Fills while answers come, sorts, and shows differences.
import { Cell } from "./cell.js";
import { legend } from "./differences.js";
import { button, dialog, el, region, setText, written } from "./elements.js";
import { ranking } from "./ranking.js";
import { count, known, METRICS } from "./words.js";

const EMPTY =
  "Run the graph: each prompt becomes a row here and each model a column, and answers appear while they are written.";

/** Letters of a prompt that stand open. */
const SHORT = 90;

export class ComparisonTable {
  constructor() {
    this.status = el("output", { className: "wb-status" });
    this.progress = el("progress", { hidden: true, aria: { label: "Answers that are done" } });
    this.base = chooser("Differences from", "Show differences from", () => this.compare());
    this.other = chooser("in", "Show differences in", () => this.compare());
    this.large = button("Enlarge", () => this.enlarge(), { className: "wb-quiet wb-enlarge" });
    const tools = [this.status, this.progress, this.base.label, this.other.label, this.large];
    this.bar = el("div", { className: "wb-bar", hidden: true }, ...tools);
    this.note = el("p", { className: "wb-quiet wb-text", hidden: true });
    this.legend = el("div", { hidden: true });
    this.empty = el("p", { className: "wb-quiet wb-empty" }, EMPTY);
    this.table = el("table", { className: "wb-table" });
    this.scroll = region("Answers", this.table);
    this.scroll.hidden = true;
    this.foot = el("div", { className: "wb-foot", hidden: true });
    const parts = [this.empty, this.bar, this.note, this.legend, this.scroll, this.foot];
    this.element = el("div", { className: "wb-comparison" }, ...parts);
  }

  /** Some cells as they are now; the first of a run also tells of its rows and columns. */
  update(told) {
    if (!this.fits(told)) this.begin(told);
    this.draw(told);
    this.foot.hidden = true;
  }

  /** A line on what happens just now, for a node whose cells do not tell it. */
  live(text) {
    setText(this.note, text);
    this.empty.hidden = true;
  }

  /** The graph was stopped or has failed: what was being answered never ends. */
  stop() {
    for (const cell of this.rows?.flatMap(({ cells }) => cells) ?? []) {
      if (!cell.ended) cell.show({ ...cell.told, state: "stopped" });
    }
    this.progress.hidden = true;
    setText(this.note, "");
  }

  /** The whole table at the end. */
  show(told) {
    setText(this.note, "");
    if (!this.fits(told)) this.begin(told);
    this.prompts(told.prompts);
    const done = told.cells.filter(({ state }) => state === "done" || state === "failed").length;
    this.draw({ ...told, done, total: told.cells.length });
    const notes = (told.notes ?? []).map((note) => el("li", { dir: "auto" }, note));
    this.foot.replaceChildren(ranking(told.ranking) ?? "", el("ul", { className: "wb-quiet" }, ...notes));
    this.foot.hidden = !this.foot.textContent;
    this.sort();
    this.compare();
  }

  fits({ run, models, rows }) {
    return this.shape === JSON.stringify([run, models, rows]);
  }

  begin({ run, models, rows }) {
    this.shape = JSON.stringify([run, models, rows]);
    this.models = models;
    this.sorting = null;
    this.heads = models.map((model, column) => this.head(model, column));
    const repeats = rows.some(([, , repeat]) => repeat > 0);
    this.rows = rows.map((row, index) => drawnRow(row, index, models.length, repeats));
    const asked = button("Prompt", () => this.sortBy(null), { title: "In the order in which they were asked" });
    this.first = el("th", { scope: "col", aria: { sort: "ascending" } }, asked);
    const head = el("thead", {}, el("tr", {}, this.first, ...this.heads.map(({ element }) => element)));
    this.table.replaceChildren(head, el("tbody", {}, ...this.rows.map(({ element }) => element)));
    const label = `Answers of ${count(models.length, "model")}, ${count(rows.length, "row")}`;
    this.table.setAttribute("aria-label", label);
    for (const { select } of [this.base, this.other]) {
      const any = el("option", { value: "" }, select === this.base.select ? "none" : "all others");
      select.replaceChildren(any, ...models.map((model, at) => el("option", { value: at }, model)));
    }
    this.base.label.hidden = models.length < 2;
    this.other.label.hidden = this.legend.hidden = this.empty.hidden = true;
    this.bar.hidden = this.scroll.hidden = false;
  }

  /** The head of a column: the model, and for each figure a button that sorts by it and shows its mean. */
  head(model, column) {
    const buttons = METRICS.map((metric) => {
      const title = `${metric.help}, on average: sort by it`;
      return { metric, button: button("", () => this.sortBy({ column, metric }), { title, hidden: true }) };
    });
    const name = el("span", { className: "wb-model" }, model);
    const row = el("span", { className: "wb-metrics" }, ...buttons.map((each) => each.button));
    return { element: el("th", { scope: "col", aria: { sort: "none" } }, name, row), buttons };
  }

  draw({ cells, done, total }) {
    for (const cell of cells) this.rows[cell.row]?.cells[cell.model]?.show(cell);
    if (cells.some(({ state }) => state === "done" || state === "failed")) this.means();
    const failed = this.rows.flatMap((row) => row.cells).filter((cell) => cell.told.state === "failed").length;
    setText(this.status, `${done} of ${total} done${failed ? `, ${failed} failed` : ""}`);
    Object.assign(this.progress, { max: total || 1, value: done, hidden: done >= total });
  }

  means() {
    this.heads.forEach(({ buttons }, column) => {
      for (const { metric, button } of buttons) {
        const values = this.rows.map(({ cells }) => cells[column].told[metric.key]).filter(known);
        const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
        const told = values.length ? metric.told(mean) : "";
        setText(button, told);
        button.setAttribute("aria-label", `${metric.title} of ${this.models[column]}, ${told} on average`);
      }
    });
  }

  prompts(texts = {}) {
    for (const row of this.rows) {
      const text = texts[row.prompt] ?? "";
      const long = text.length > SHORT;
      setText(row.short, long || text === row.prompt ? "" : text);
      setText(row.summary, long ? `${text.slice(0, SHORT)}…` : "");
      setText(row.text, long ? text : "");
      row.asked.hidden = !long;
    }
  }

  /** The first time in the better direction, the second time in the other; null is the order of the prompts. */
  sortBy(wanted) {
    const again = wanted && this.sorting?.column === wanted.column && this.sorting.metric === wanted.metric;
    const other = { ascending: "descending", descending: "ascending" };
    this.sorting = wanted && { ...wanted, direction: again ? other[this.sorting.direction] : wanted.metric.first };
    this.sort();
  }

  sort() {
    const { column, metric, direction } = this.sorting ?? {};
    const sign = direction === "descending" ? -1 : 1;
    const value = (row) => (metric ? row.cells[column].told[metric.key] : row.index);
    // What is not known comes last in both directions.
    const missing = (row) => !known(value(row));
    const compared = (a, b) => (missing(a) ? 0 : sign * (value(a) - value(b)));
    const differ = (a, b) => missing(a) - missing(b) || compared(a, b) || a.index - b.index;
    this.table.tBodies[0].append(...[...this.rows].sort(differ).map(({ element }) => element));
    this.first.setAttribute("aria-sort", metric ? "none" : "ascending");
    this.heads.forEach(({ element, buttons }, at) => {
      element.setAttribute("aria-sort", at === column ? direction : "none");
      for (const each of buttons) {
        each.button.setAttribute("aria-pressed", String(at === column && each.metric === metric));
      }
    });
  }

  /** Shows columns with their differences from another: all, or one beside it; all as they are while none is chosen. */
  compare() {
    const base = this.base.select.value, { select } = this.other;
    if (select.value === base) select.value = "";
    this.other.label.hidden = this.legend.hidden = base === "";
    for (const option of select.options) option.hidden = option.value === base && base !== "";
    const shown = (at) => base === "" || select.value === "" || [base, select.value].includes(String(at));
    this.heads.forEach(({ element }, at) => (element.hidden = !shown(at)));
    for (const row of this.rows) {
      row.cells.forEach((cell, at) => {
        cell.element.hidden = !shown(at);
        cell.draw();
        if (base !== "" && shown(at) && String(at) !== base) cell.compare(row.cells[base]);
      });
    }
    const other = this.models[select.value] ?? "the other answer";
    if (base !== "") this.legend.replaceChildren(legend(this.models[base], other));
  }

  /** Moves the table, and those beside it, into a window of their own, and back when that is closed. */
  enlarge() {
    const moved = this.element.parentElement;
    const place = el("p", { className: "wb-quiet wb-empty" }, "The table is open in a window.");
    moved.replaceWith(place);
    dialog("Comparison", moved, () => {
      place.replaceWith(moved);
      moved.querySelector(".wb-enlarge").focus();
    });
  }
}

function chooser(text, help, act) {
  const select = el("select", { onchange: act, aria: { label: help } });
  return { select, label: el("label", {}, `${text} `, select) };
}

function drawnRow([prompt, variant, repeat], index, width, repeats) {
  const cells = Array.from({ length: width }, () => new Cell());
  const short = written("", "wb-text wb-quiet"), text = written("", "wb-text wb-quiet");
  const summary = el("summary", { dir: "auto" });
  const asked = el("details", { hidden: true }, summary, text);
  const more = [variant, repeats ? `repeat ${repeat + 1}` : ""].filter(Boolean).join(" · ");
  const told = [el("span", { dir: "auto" }, prompt), more && el("span", { className: "wb-quiet" }, more), short, asked];
  const element = el("tr", {}, el("th", { scope: "row" }, ...told), ...cells.map((cell) => cell.element));
  return { prompt, index, cells, asked, short, summary, text, element };
}
