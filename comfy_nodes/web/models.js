// Choosing models from what the servers offer, instead of typing their names.
import { app } from "../../scripts/app.js";
import { ask, button, dialog, el, setText } from "./elements.js";
import { addUnsaved } from "./panel.js";
import { count, known, LOADED, size } from "./words.js";

const NONE = "No LLM server was found on this machine. Start LM Studio, Ollama or another one, and ask again.";

/** What can be chosen besides the models, by the name of the widget: the value, how it is shown, and what it means. */
const ANY = {
  model: ["auto", "auto", "Whichever model is best at hand"],
  judge: ["auto:large", "auto:large", "The largest model at hand"],
  models: ["*", "*", "All models"],
  unload: ["", "All models", "Whatever is loaded"],
};

let last = 0;

/** Adds a button below the widget of a model's name; in that of a Model List several can be chosen. */
export function addChooser(node, widget) {
  const many = widget.name === "models";
  const open = button(many ? "Choose models…" : "Choose a model…", () => new Chooser(node, widget, many).open());
  const element = el("div", { className: "wb wb-choose" }, open);
  addUnsaved(node, `choose_${widget.name}`, element, { margin: 4, getMinHeight: () => 34, getMaxHeight: () => 34 });
  element.addEventListener("pointerdown", (event) => event.stopPropagation());
  node.widgets.splice(node.widgets.indexOf(widget) + 1, 0, node.widgets.pop());
  const { onSerialize } = node;
  node.onSerialize = function (saved) {
    onSerialize?.apply(this, arguments);
    // ComfyUI leaves a hole for a widget that is not saved, but reads the values as if there were none.
    saved.widgets_values = saved.widgets_values?.filter(() => true);
  };
}

/** The names of the servers, for the list of LLM Provider. */
export async function serverNames() {
  return (await ask("models")).servers.map(({ name }) => name);
}

class Chooser {
  constructor(node, widget, many) {
    Object.assign(this, { node, widget, many, options: [], active: -1 });
    const names = many ? widget.value.split("\n").filter((name) => name.trim()) : [widget.value];
    this.chosen = new Set(names.map((name) => name.trim()));
    const id = `wb-models-${(last += 1)}`;
    const listed = { label: "Models", multiselectable: String(many) };
    this.list = el("div", { id, className: "wb-scroll wb-list", role: "listbox", tabIndex: -1, aria: listed });
    const filter = { type: "search", placeholder: "Filter by name", role: "combobox", autocomplete: "off" };
    this.filter = el("input", { ...filter, aria: { label: "Filter by name", controls: id, expanded: "true" } });
    this.filter.addEventListener("input", () => this.narrow());
    this.status = el("output", { className: "wb-status" }, "Asking the servers…");
    const use = button("Use these", () => this.use(), { className: "wb-main" });
    const again = button("Ask again", () => this.load(), { className: "wb-quiet" });
    this.foot = el("div", { className: "wb-bar" }, this.status, again, ...(many ? [use] : []));
    this.content = el("div", { className: "wb-chooser" }, this.filter, this.list, this.foot);
    this.filter.addEventListener("keydown", (event) => this.key(event));
  }

  open() {
    this.box = dialog(this.many ? "Choose models" : "Choose a model", this.content);
    this.filter.focus();
    this.load();
  }

  async load() {
    setText(this.status, "Asking the servers…");
    try {
      this.show((await ask("models")).servers);
    } catch (failure) {
      this.list.replaceChildren(el("p", { className: "wb-error", role: "alert" }, failure.message));
      setText(this.status, "");
    }
  }

  show(servers) {
    this.options = [];
    const kind = this.node.comfyClass === "WorkbenchUnloadLLM" ? "unload" : this.widget.name;
    const [name, title, help] = ANY[kind];
    const parts = [this.option(name, title, [help])];
    servers.forEach((server, index) => parts.push(this.group(server, index)));
    if (!servers.length) parts.push(el("p", { className: "wb-quiet" }, NONE));
    this.list.replaceChildren(...parts);
    this.narrow();
    const current = this.options.findIndex(({ name }) => this.chosen.has(name));
    this.mark(Math.max(current, 0));
  }

  group(server, index) {
    const id = `${this.list.id}-${index}`;
    const title = el("h3", { id }, server.title || server.name);
    const group = el("div", { role: "group", aria: { labelledby: id } }, title);
    if (server.problem) group.append(el("p", { className: "wb-error" }, server.problem));
    else if (!server.models.length) group.append(el("p", { className: "wb-quiet" }, "It has no models."));
    const chat = server.models.filter(({ chats }) => chats !== false);
    group.append(...chat.map((model) => this.option(model.name, model.id, facts(model), model.state ?? undefined)));
    return group;
  }

  option(name, title, told, state = "") {
    const [sign, word] = LOADED[state] ?? ["", ""];
    const index = this.options.length;
    const shown = [
      el("span", { className: "wb-name" }, title),
      el("span", { className: "wb-loaded", data: { state } }, el("i", { aria: { hidden: "true" } }, sign), ` ${word}`),
      el("span", { className: "wb-quiet" }, told.join(" · ")),
    ];
    const selected = { selected: String(this.chosen.has(name)) };
    const element = el("div", { className: "wb-option", role: "option", aria: selected }, ...shown);
    Object.assign(element, { id: `${this.list.id}-option-${index}`, onclick: () => this.pick(index) });
    this.options.push({ name, element });
    return element;
  }

  narrow() {
    const wanted = this.filter.value.trim().toLowerCase();
    for (const { name, element } of this.options) element.hidden = !name.toLowerCase().includes(wanted);
    const shown = this.options.filter(({ element }) => !element.hidden);
    this.mark(this.options.indexOf(shown.find(({ name }) => this.chosen.has(name)) ?? shown[0]));
    this.tell(shown.length);
  }

  tell(shown = this.options.filter(({ element }) => !element.hidden).length) {
    const chosen = this.many ? `, ${this.chosen.size} chosen` : "";
    setText(this.status, `${count(shown, "choice")}${chosen}`);
  }

  /** The option that Enter takes. */
  mark(index) {
    this.options[this.active]?.element.classList.remove("wb-active");
    this.active = index;
    const { element } = this.options[index] ?? {};
    element?.classList.add("wb-active");
    element?.scrollIntoView({ block: "nearest" });
    this.filter.setAttribute("aria-activedescendant", element?.id ?? "");
  }

  key(event) {
    const shown = this.options.map((_, index) => index).filter((index) => !this.options[index].element.hidden);
    const at = shown.indexOf(this.active);
    const moves = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + 8, PageUp: at - 8 };
    if (event.key in moves) this.mark(shown[Math.min(Math.max(moves[event.key], 0), shown.length - 1)] ?? -1);
    else if (event.key === "Enter" && event.ctrlKey && this.many) this.use();
    else if (event.key === "Enter" && this.active >= 0) this.pick(this.active);
    else return;
    event.preventDefault();
  }

  pick(index) {
    const { name } = this.options[index];
    if (!this.many) return this.use([name]);
    if (!this.chosen.delete(name)) {
      // All models and some of them do not go together.
      if (name === "*") this.chosen.clear();
      else this.chosen.delete("*");
      this.chosen.add(name);
    }
    for (const each of this.options) each.element.setAttribute("aria-selected", String(this.chosen.has(each.name)));
    this.mark(index);
    this.tell();
  }

  use(names = this.chosen) {
    this.widget.value = [...names].join("\n");
    this.widget.callback?.(this.widget.value, app.canvas, this.node);
    this.node.setDirtyCanvas(true, true);
    this.box.close();
  }
}

function facts(model) {
  const can = [[model.vision, "sees pictures"], [model.tools, "tools"], [model.reasoning, "reasons"]];
  return [
    known(model.size) ? size(model.size) : "",
    known(model.context) ? `${model.context.toLocaleString("en")} tokens` : "",
    ...can.map(([has, word]) => (has ? word : "")),
  ].filter(Boolean);
}
