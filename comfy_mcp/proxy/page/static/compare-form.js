// The form of a new comparison: a model is found, prompts are added, read from a file, and answers are counted.
const form = document.getElementById("comparison");

function findModels(text) {
  const wanted = text.trim().toLowerCase();
  let found = 0;
  for (const group of form.querySelectorAll("[data-group]")) {
    let here = 0;
    for (const choice of group.querySelectorAll("[data-text]")) {
      choice.hidden = !choice.dataset.text.includes(wanted);
      here += choice.hidden ? 0 : 1;
    }
    group.hidden = wanted !== "" && here === 0;
    found += here;
  }
  form.querySelector("[data-none]").hidden = wanted === "" || found > 0;
}

const rows = () => [...form.querySelectorAll("#rows > [data-row]")];

const numbers = () => rows().map((row) => Number(row.querySelector("textarea").name.split("-")[1]));

function addRow(number = Math.max(0, ...numbers()) + 1) {
  const row = document.getElementById("row").content.cloneNode(true).firstElementChild;
  for (const field of row.querySelectorAll("[name]")) field.name = field.name.replace(/-0$/, `-${number}`);
  document.getElementById("rows").append(row);
  renumber();
  return row;
}

function removeRow(row) {
  const next = row.nextElementSibling ?? row.previousElementSibling;
  row.remove();
  renumber();
  next?.querySelector("textarea").focus();
}

function renumber() {
  rows().forEach((row, at) => { row.querySelector("[data-number]").textContent = at + 1; });
  form.querySelector("[data-adds]").hidden = rows().length >= Number(document.getElementById("rows").dataset.most);
}

/** A file of prompts as text in one of the forms that the server reads. JSON is a list of texts or objects. */
async function readFile(file) {
  const text = await file.text();
  if (text.includes("\0")) throw new Error("no text");
  if (/\.csv$/i.test(file.name)) return [text, "csv"];
  if (/\.jsonl$/i.test(file.name)) return [text, "jsonl"];
  if (!/\.json$/i.test(file.name)) return [text, "txt"];
  const told = JSON.parse(text);
  if (!Array.isArray(told)) throw new Error("no list");
  const prompts = told.map(({ text, ...each }) => (text === undefined ? each : { prompt: text, ...each }));
  const lines = told.map((each, at) => JSON.stringify(typeof each === "string" ? { prompt: each } : prompts[at]));
  return [lines.join("\n"), "jsonl"];
}

async function importFile(input) {
  const [file] = input.files;
  if (!file) return;
  const told = form.querySelector("[data-unreadable]");
  try {
    const [text, written] = await readFile(file);
    form.elements.many.value = text;
    form.elements.form.value = written;
    told.hidden = true;
    count();
  } catch {
    told.textContent = input.dataset.unread;
    told.hidden = false;
  }
}

/** As many as are asked with this field: values with commas between them. */
const several = (field) => Math.max(1, field.value.split(/[,，]/).filter((value) => value.trim()).length);

function prompts() {
  const written = rows().filter((row) => row.querySelector("textarea").value.trim()).length;
  const lines = form.elements.many.value.split("\n").map((line) => line.trim());
  const blocks = form.elements.form.value === "txt" && lines.includes("---")
    ? lines.join("\n").split(/^---$/m) : lines;
  const many = blocks.filter((block) => block.trim()).length;
  return written + (form.elements.form.value === "csv" ? Math.max(0, many - 1) : many);
}

function count() {
  const models = form.querySelectorAll("input[name^='model:']:checked").length;
  const repeats = Math.max(1, Number(form.elements.repeats.value) || 1);
  const ways = [...form.querySelectorAll("[data-values]")].reduce((all, field) => all * several(field), 1);
  const answers = models * prompts() * ways * repeats, shown = document.getElementById("count");
  const told = answers === 1 ? shown.dataset.one : shown.dataset.many.replace("#", answers.toLocaleString());
  shown.textContent = answers ? told : "";
  mended("models", models);
  mended("prompts", prompts());
}

/** What was wrong and is no more is not said any more. */
function mended(what, is) {
  if (is) document.getElementById(`wrong-${what}`)?.remove();
}

if (form) {
  const find = document.getElementById("find");
  for (const hidden of [find, form.querySelector("[data-adds]"), form.querySelector("[data-imports]")]) hidden.hidden = false;
  find.addEventListener("input", () => findModels(find.value));
  find.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
  form.querySelector("[data-imports] input").addEventListener("change", (event) => importFile(event.target));
  form.addEventListener("click", ({ target }) => {
    if (target.closest("[data-adds]")) addRow().querySelector("textarea").focus();
    else if (target.closest("[data-removes]")) removeRow(target.closest("[data-row]"));
    count();
  });
  form.addEventListener("input", count);
  // The rows of what was typed before this page was loaded anew.
  document.addEventListener("kept:back", ({ detail }) => {
    const wanted = detail.filter((name) => name.startsWith("text-")).map((name) => Number(name.slice(5)));
    for (const number of wanted) if (!numbers().includes(number)) addRow(number);
  });
  count();
}
