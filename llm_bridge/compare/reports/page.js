const { data, view } = JSON.parse(document.getElementById("report").textContent);
const byId = (id) => document.getElementById(id);

/** Characters and lines of an answer that stand open; of a longer one the rest is behind a button. */
const OPEN = { characters: 1200, lines: 18 };
const LONG = 20000;
const FIRST_ROWS = 12;
const ROWS_AT_ONCE = 25;

/** An element. Text goes in as text nodes only, so that nothing a model wrote is ever markup. */
function el(name, properties = {}, ...children) {
  const { data: marks = {}, aria = {}, ...rest } = properties;
  const made = Object.assign(document.createElement(name), rest);
  Object.assign(made.dataset, marks);
  for (const [key, value] of Object.entries(aria)) made.setAttribute(`aria-${key}`, value);
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

/** Control characters and marks that turn text around are shown, as `readable.py` does for the other reports. */
function visible(text) {
  return text.replace(/\r\n|[\r\u0085\u2028\u2029]/g, "\n").replace(
    /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufff9-\ufffb]/g,
    (sign) => {
      const code = sign.charCodeAt(0);
      return code < 0x20 ? String.fromCharCode(0x2400 + code) : `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
    },
  );
}

/** Cuts, but never through a surrogate pair. */
function cut(text, length) {
  return text.length <= length ? text : text.slice(0, length).replace(/[\ud800-\udbff]$/, "");
}

// ---- the table of models

const sorting = { column: null, direction: "none" };

function drawModels() {
  const corner = el("th", { scope: "col" }, "Model");
  const heads = view.columns.map((column, index) => {
    const button = el("button", { type: "button", title: column.help, onclick: () => sortBy(index) }, column.title);
    return el("th", { scope: "col", aria: { sort: "none" } }, button);
  });
  const body = el("tbody");
  data.models.forEach((model, line) => {
    const cells = view.columns.map((column) => el("td", {}, ...figure(column, line)));
    body.append(el("tr", { data: { line } }, el("th", { scope: "row" }, visible(model)), ...cells));
  });
  byId("models").append(el("thead", {}, el("tr", {}, corner, ...heads)), body);
  const ranked = view.columns.findIndex((column) => column.key === "rating");
  if (ranked >= 0) sortBy(ranked);
}

/** A number of the table, marked when it is the best of several, with a bar of its size where sizes mean something. */
function figure(column, line) {
  const [value, text] = column.cells[line];
  const known = column.cells.map((cell) => cell[0]).filter((other) => other !== null);
  const best = column.best === "high" ? Math.max(...known) : Math.min(...known);
  const differs = column.key === "rating" ? clear(line) : known.some((other) => other !== best);
  const leads = column.best && value === best && differs;
  const shown = el("span", { className: leads ? "best" : "" }, text);
  if (leads) shown.append(el("span", { className: "unseen" }, " (best)"));
  if (value !== null && column.key === "rating") return [shown, interval(data.summary[line].rating)];
  if (value === null || !column.best || !known.some((other) => other !== value)) return [shown];
  const bar = el("span", { className: leads ? "bar leads" : "bar", aria: { hidden: "true" } });
  bar.style.setProperty("--part", value / (Math.max(...known) || 1));
  return [shown, bar];
}

/** Whether the interval of a model's rating is above all others', so that it is no chance that it leads. */
function clear(line) {
  const low = data.summary[line].rating?.low ?? null;
  const others = data.summary.filter((_, at) => at !== line).map(({ rating }) => rating);
  return low !== null && others.every((rating) => rating && rating.high !== null && rating.high < low);
}

/** The rating with its interval, on the scale of all ratings. */
function interval(rank) {
  const ends = data.summary.flatMap(({ rating }) => (rating ? [rating.low ?? rating.rating, rating.high ?? rating.rating] : []));
  const low = Math.min(...ends), span = Math.max(...ends) - low || 1;
  const place = (value) => (value - low) / span;
  const line = el("span", { className: "interval", aria: { hidden: "true" } });
  line.style.setProperty("--low", place(rank.low ?? rank.rating));
  line.style.setProperty("--high", place(rank.high ?? rank.rating));
  line.style.setProperty("--at", place(rank.rating));
  const title = `${rank.games} compared, ${rank.wins} won`;
  return el("span", { className: "rank", title }, line);
}

/** Best first where a column has a better end, else the highest; a second time the other way. Unknown stays last. */
function sortBy(index) {
  const column = view.columns[index];
  const first = column.best === "low" ? "ascending" : "descending";
  const turned = first === "ascending" ? "descending" : "ascending";
  sorting.direction = sorting.column === index && sorting.direction === first ? turned : first;
  sorting.column = index;
  const sign = sorting.direction === "ascending" ? 1 : -1;
  const value = (row) => column.cells[row.dataset.line][0];
  const body = byId("models").tBodies[0];
  const known = (row) => value(row) !== null;
  const order = [...body.rows].sort((a, b) => known(b) - known(a) || (known(a) && sign * (value(a) - value(b))) || 0);
  body.append(...order);
  byId("models").querySelectorAll("thead th[aria-sort]").forEach((head, at) => {
    head.setAttribute("aria-sort", at === index ? sorting.direction : "none");
  });
}

// ---- the answers

/** Each row of answers as it is drawn: its element, its cards, and what the filters look at. */
const drawn = [];
let section = null;

function drawRow(row, index) {
  if (!section || section.prompt !== row.prompt) section = drawPrompt(row.prompt);
  const first = index * data.models.length;
  const cards = row.cells.map((extra, at) => drawCard(data.cells[first + at], extra, row.label ? "h5" : "h4"));
  const columns = el("div", { className: "columns" }, ...cards.map((card) => card.element));
  const element = el("div", { className: "row" });
  if (row.label) element.append(el("h4", {}, visible(row.label)));
  element.append(columns);
  if (row.preferences.length) element.append(judgements(row.preferences));
  section.element.append(element);
  const made = { element, columns, cards, section };
  section.rows.push(made);
  drawn.push(made);
  filterRow(made);
}

function drawPrompt(index) {
  const prompt = data.prompts[index];
  const element = el("section", { className: "prompt" });
  const name = el("h3", { id: `prompt-${index}` }, el("span", { className: "number" }, `${index + 1}`), visible(prompt.name));
  element.setAttribute("aria-labelledby", `prompt-${index}`);
  element.append(name, ...longText(prompt.text, "asked"));
  if (prompt.system) element.append(folded("System", prompt.system));
  if (prompt.images.length) element.append(el("p", { className: "quiet" }, `Pictures sent with it: ${prompt.images.length}`));
  byId("rows").append(element);
  return { prompt: index, element, rows: [], text: `${prompt.name}\n${prompt.text}\n${prompt.system}`.toLowerCase() };
}

function drawCard(cell, extra, heading) {
  const text = [cell.text, extra.calls].filter(Boolean).join("\n");
  const element = el("article", { className: `card ${cell.state}` });
  const head = el("header", {}, el("div", {}, el(heading, {}, visible(cell.model)), ...badges(cell)));
  const card = { cell, extra, element, text, body: el("div", { className: "body" }) };
  if (text) head.append(copyButton(cell, text));
  element.append(head);
  if (extra.facts.length) element.append(el("dl", {}, ...extra.facts.map(([label, value]) => el("div", {}, el("dt", {}, label), el("dd", {}, value)))));
  if (extra.verdict) element.append(el("p", { className: extra.passed ? "verdict good" : "verdict bad" }, visible(extra.verdict)));
  if (cell.reasoning) element.append(folded(`Reasoning, ${cell.reasoning.length.toLocaleString("en")} characters`, cell.reasoning));
  element.append(card.body);
  card.searched = [text, cell.reasoning, cell.error?.message].filter(Boolean).join("\n").toLowerCase();
  plain(card);
  return card;
}

function badges(cell) {
  const told = [];
  if (cell.state === "failed") told.push(["Failed", "bad"]);
  if (cell.state === "missing") told.push(["Not run", ""]);
  if (cell.finish === "length") told.push(["Cut off by the limit of tokens", "warn"]);
  if (cell.cached) told.push(["From an earlier run", ""]);
  return told.map(([text, kind]) => el("span", { className: `badge ${kind}` }, text));
}

/** The body of a card as the model wrote it. */
function plain(card) {
  const { cell, text, body } = card;
  if (cell.state === "missing") body.replaceChildren(el("p", { className: "quiet" }, "This cell has not run yet."));
  else if (cell.state === "failed") {
    const hint = cell.error.hint ? el("p", { className: "quiet" }, visible(cell.error.hint)) : null;
    body.replaceChildren(el("p", { className: "failure" }, visible(cell.error.message)), hint ?? "");
  } else if (!text.trim()) body.replaceChildren(el("p", { className: "quiet" }, "The answer is empty."));
  else body.replaceChildren(...longText(text, "text"));
}

/** The body of a card as what differs from another answer. */
function different(card, base) {
  if (card === base || !base || card.cell.state !== "answered" || base.cell.state !== "answered") {
    plain(card);
    if (card === base) card.body.prepend(el("p", { className: "quiet note" }, "The others are compared with this one."));
    return;
  }
  const pieces = difference(visible(base.text), visible(card.text));
  if (!pieces) {
    plain(card);
    card.body.prepend(el("p", { className: "quiet note" }, "Too long and too different to compare word by word."));
    return;
  }
  const parts = pieces.flatMap(([kind, text]) => (kind === "same" ? [text] : changedText(kind, text)));
  const changed = pieces.some(([kind]) => kind !== "same");
  const note = changed ? [] : [el("p", { className: "quiet note" }, "The same answer.")];
  card.body.replaceChildren(...note, foldable(el("div", { className: "text", dir: "auto" }, ...parts), card.text));
}

/** A change without the space after it, unless it is nothing else. */
function changedText(kind, text) {
  const bare = text.trimEnd() || text;
  return [el(kind === "gone" ? "del" : "ins", {}, bare), text.slice(bare.length)];
}

function folded(title, text) {
  const details = el("details", { className: "folded" }, el("summary", {}, title));
  // Filled when it is opened: reasoning is often longer than all answers together.
  details.addEventListener("toggle", () => details.append(...longText(text, "text open")), { once: true });
  return details;
}

/** Text with a button where it is longer than what stands open. */
function longText(text, className) {
  const shown = el("div", { className, dir: "auto", lang: "" }, visible(cut(text, LONG)));
  return [foldable(shown, text)];
}

function foldable(shown, text) {
  const lines = text.split("\n", OPEN.lines + 1).length;
  const long = text.length > OPEN.characters || lines > OPEN.lines;
  if (!long || (shown.classList.contains("open") && text.length <= LONG)) return shown;
  const all = `Show all ${text.length.toLocaleString("en")} characters`;
  const button = el("button", { type: "button", className: "more", aria: { expanded: "false" } }, all);
  shown.classList.add("clipped");
  button.onclick = () => {
    const opens = shown.classList.toggle("clipped") === false;
    button.setAttribute("aria-expanded", String(opens));
    button.textContent = opens ? "Show less" : all;
    if (opens && text.length > LONG && shown.childElementCount === 0) shown.textContent = visible(text);
  };
  return el("div", { className: "foldable" }, shown, button);
}

function judgements(preferences) {
  const list = el("ul", {}, ...preferences.map((text) => el("li", { dir: "auto" }, visible(text))));
  const title = preferences.length === 1 ? "1 judgement" : `${preferences.length} judgements`;
  return el("details", { className: "folded judged" }, el("summary", {}, title), list);
}

function copyButton(cell, text) {
  const label = { label: `Copy the answer of ${cell.model}` };
  const button = el("button", { type: "button", className: "copy", aria: label }, "Copy");
  button.onclick = async () => {
    const done = await copied(text);
    button.textContent = done ? "Copied" : "Not allowed";
    byId("found").textContent = done ? "Copied." : "The browser does not allow copying.";
    setTimeout(() => {
      button.textContent = "Copy";
      tell();
    }, 1500);
  };
  return button;
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = el("textarea", { value: text, className: "unseen" });
    const before = document.activeElement;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    before?.focus();
    return done;
  }
}

// ---- filters

const tools = { search: byId("search"), prompt: byId("prompt"), state: byId("state"), base: byId("base") };
const boxes = [];

function drawTools() {
  data.prompts.forEach((prompt, index) => tools.prompt.append(el("option", { value: index }, visible(prompt.name))));
  data.models.forEach((model, index) => {
    tools.base.append(el("option", { value: index }, visible(model)));
    const box = el("input", { type: "checkbox", checked: true });
    boxes.push(box);
    byId("chosen").append(el("label", { className: "chip" }, box, el("span", {}, visible(model))));
  });
  byId("more").open = matchMedia("(min-width: 40rem)").matches;
  byId("tools").addEventListener("submit", (event) => event.preventDefault());
  byId("tools").addEventListener("change", (event) => event.target !== tools.search && filter());
  let waiting = 0;
  tools.search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 120);
  });
}

function wanted(card, column, query, section) {
  const { state } = tools, { cell, extra } = card;
  if (!boxes[column].checked) return false;
  if (state.value === "failed" && cell.state === "answered") return false;
  if (state.value === "checks" && extra.passed) return false;
  return !query || section.text.includes(query) || card.searched.includes(query);
}

/** Shows of a row what the filters want; the answer that others are compared with stays beside them. */
function filterRow(row) {
  const query = tools.search.value.trim().toLowerCase();
  const inPrompt = tools.prompt.value === "" || Number(tools.prompt.value) === row.section.prompt;
  const shows = row.cards.map((card, column) => inPrompt && wanted(card, column, query, row.section));
  row.found = shows.filter(Boolean).length;
  const base = tools.base.value === "" ? null : Number(tools.base.value);
  if (row.found && base !== null) shows[base] = true;
  row.cards.forEach((card, column) => (card.element.hidden = !shows[column]));
  row.element.hidden = row.found === 0;
  row.columns.style.setProperty("--columns", shows.filter(Boolean).length || 1);
  compareRow(row, base);
}

function compareRow(row, base) {
  if (row.found === 0 || (row.base ?? null) === base) return;
  row.base = base;
  for (const card of row.cards) base === null ? plain(card) : different(card, row.cards[base]);
}

let turn = 0;

/** Row by row in slices, so that typing stays smooth; a newer filter ends an older one. */
function filter() {
  turn += 1;
  inSlices(drawn, filterRow, turn);
}

function inSlices(list, each, mine, from = 0) {
  const until = performance.now() + 12;
  let at = from;
  while (at < list.length && performance.now() < until) each(list[at++]);
  if (mine !== turn) return;
  if (at < list.length) setTimeout(() => inSlices(list, each, mine, at));
  else tell();
}

function tell() {
  const found = drawn.reduce((sum, row) => sum + row.found, 0);
  for (const row of drawn) row.section.element.hidden = row.section.rows.every((other) => other.element.hidden);
  const all = data.cells.length;
  byId("found").textContent = found === all ? `${all} answers` : found ? `${found} of ${all} answers` : "Nothing found";
}

// ---- start

function drawRows(upTo) {
  const end = Math.min(upTo, view.rows.length);
  for (let index = drawn.length; index < end; index += 1) drawRow(view.rows[index], index);
}

function drawRest() {
  drawRows(drawn.length + ROWS_AT_ONCE);
  tell();
  if (drawn.length < view.rows.length) setTimeout(drawRest);
}

for (const remark of view.remarks) byId("remarks").append(el("li", {}, visible(remark)));
byId("remarks").hidden = view.remarks.length === 0;
drawModels();
drawTools();
drawRows(FIRST_ROWS);
drawRest();
addEventListener("beforeprint", () => drawRows(view.rows.length));
