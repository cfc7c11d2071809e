// Small ways to make elements and to ask the pack's own routes; nothing here knows of nodes.
import { api } from "../../scripts/api.js";

/** An element. Text goes in as text nodes only, so that nothing a model wrote is ever markup. */
export function el(name, properties = {}, ...children) {
  const { data = {}, aria = {}, role, ...rest } = properties;
  const made = Object.assign(document.createElement(name), rest);
  Object.assign(made.dataset, data);
  if (role) made.setAttribute("role", role);
  for (const [key, value] of Object.entries(aria)) made.setAttribute(`aria-${key}`, value);
  made.append(...children.filter((child) => child !== null && child !== ""));
  return made;
}

export function button(text, act, properties = {}) {
  return el("button", { type: "button", onclick: act, ...properties }, text);
}

/** What a model or a server wrote, on lines of its own and with a direction of its own. */
export function written(text, className = "wb-text") {
  return el("div", { className, dir: "auto", lang: "" }, text);
}

/** A part that scrolls, also by the keyboard. */
export function region(label, ...content) {
  return el("div", { className: "wb-scroll", role: "region", tabIndex: 0, aria: { label } }, ...content);
}

/** Text for a place that is drawn again and again; a selection in it stays while nothing changes. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
  element.hidden = !text;
}

/** The answer of a route of the pack. Raises an Error in the words of the server. */
export async function ask(path, body) {
  const post = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
  const response = await api.fetchApi(`/comfyui-workbench/${path}`, body ? post : {});
  const told = await response.json().catch(() => ({}));
  if (response.ok) return told;
  const { message, hint } = told.error ?? {};
  throw new Error([message ?? `ComfyUI answered ${response.status}.`, hint].filter(Boolean).join(" "));
}

/** A window of its own over the page: Escape or Close closes it, and the focus returns to where it was. */
export function dialog(title, content, closed = () => {}) {
  const before = document.activeElement;
  const close = button("Close", () => box.close(), { className: "wb-quiet" });
  const head = el("header", {}, el("h2", {}, title), close);
  const box = el("dialog", { className: "wb wb-dialog", aria: { label: title } }, head, content);
  // The shortcuts of ComfyUI are not meant while it is open.
  box.addEventListener("keydown", (event) => event.stopPropagation());
  box.addEventListener("close", () => {
    closed();
    box.remove();
    before?.focus();
  });
  document.body.append(box);
  box.showModal();
  return box;
}
