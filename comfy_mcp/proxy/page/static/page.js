// What every section needs: refusals are shown where people look, what was typed outlives a new page, copied text is
// copied, and dialogs open and close.
const told = document.getElementById("told");

function tell(html) {
  told.innerHTML = html;
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => told.replaceChildren(), 12000);
}

// A refusal comes as a piece of the page: it is shown beside whatever asked, which stays as it is.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.xhr.status < 400) return;
  detail.shouldSwap = false;
  if (detail.xhr.status === 401) anew({ keeping: true });
  else if (detail.xhr.getResponseHeader("content-type")?.startsWith("text/html")) tell(detail.xhr.response);
});

// What was pressed is busy until its answer comes; it keeps the focus.
const pressed = ({ elt, requestConfig }) => requestConfig?.triggeringEvent?.submitter || elt;
document.addEventListener("htmx:beforeSend", ({ detail }) => {
  if (pressed(detail).matches("button")) pressed(detail).setAttribute("aria-busy", "true");
});
document.addEventListener("htmx:afterRequest", ({ detail }) => pressed(detail).removeAttribute("aria-busy"));
document.addEventListener("htmx:sendError", () => tell(document.getElementById("gone").innerHTML));

// What stands in the fields is kept for this tab while the page is loaded anew, in another language or after signing in.
const KEPT = "kept", UNKEPT = "[type=password], [type=file], [type=hidden], [type=submit], [type=button], [type=range], [readonly]";
// This address as one that can be got: a page with refusals was posted.
const here = () => new URL(document.querySelector("form[action='/look'] [name=to]").value, location.href);

/** The fields of people, each with a name that it has on the next page, too. */
function* typed({ all = false } = {}) {
  const seen = new Map();
  for (const field of document.querySelectorAll("main input[name], main select[name], main textarea[name]")) {
    // A form that asks as soon as it is changed has asked; what was not set in a field of a tool is the tool's own.
    if (field.matches(UNKEPT) || field.closest("form[hx-trigger]")) continue;
    const name = [field.form?.getAttribute("action"), field.name, field.type === "radio" ? field.value : ""].join("\n");
    seen.set(name, (seen.get(name) ?? 0) + 1);
    if (all || !field.closest("[data-field]:not([data-set])")) yield [`${name}\n${seen.get(name)}`, field];
  }
}

const valueOf = (field) => (field.matches("[type=checkbox], [type=radio]") ? field.checked
  : field.multiple ? [...field.selectedOptions].map((option) => option.value) : field.value);

function setTo(field, value) {
  const told = field.closest("[data-field]");
  if (told && typeof fields !== "undefined") {
    // More is drawn after the value there.
    if (field.type !== "radio") fields.tell(told, String(value));
    else if (value) fields.tell(told, field.value);
  } else if (typeof value === "boolean") field.checked = value;
  else if (Array.isArray(value)) for (const option of field.options) option.selected = value.includes(option.value);
  else field.value = value;
}

function keep() {
  const values = [...typed()].map(([name, field]) => [name, field.name, valueOf(field)]);
  try {
    sessionStorage.setItem(KEPT, JSON.stringify({ path: here().pathname, values }));
  } catch {
    // There is no room for so much.
  }
}

// When all scripts are there: whoever hears `kept:back` makes room for what the page does not have by itself.
document.addEventListener("DOMContentLoaded", () => {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  if (kept?.path !== location.pathname) return;
  sessionStorage.removeItem(KEPT);
  document.dispatchEvent(new CustomEvent("kept:back", { detail: kept.values.map(([, name]) => name) }));
  const values = new Map(kept.values.map(([name, , value]) => [name, value]));
  for (const [name, field] of typed({ all: true })) {
    if (!values.has(name) || JSON.stringify(valueOf(field)) === JSON.stringify(values.get(name))) continue;
    setTo(field, values.get(name));
    field.dispatchEvent(new Event("input", { bubbles: true }));
  }
});

function anew({ keeping }) {
  if (keeping) keep();
  if (here().pathname === location.pathname) location.reload();
  else location.assign(here());
}

const post = (form, values) => fetch(form.action, { method: "POST", body: new URLSearchParams(values), redirect: "manual" });
const tabs = new BroadcastChannel("workbench");
tabs.onmessage = () => anew({ keeping: false });

async function signOut(form) {
  await post(form, {});
  sessionStorage.removeItem(KEPT);
  tabs.postMessage("signed out");
  location.assign("/");
}

function turn(form) {
  const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  root.dataset.theme = (root.dataset.theme ?? dark) === "dark" ? "light" : "dark";
  return post(form, { theme: root.dataset.theme });
}

document.addEventListener("submit", (event) => {
  const form = event.target, action = form.getAttribute("action");
  if (action === "/look" && event.submitter?.name === "language") keep();
  const does = action === "/sign-out" ? signOut : action === "/look" && event.submitter?.name === "theme" ? turn : null;
  if (!does) return;
  event.preventDefault();
  does(form).catch(() => tell(document.getElementById("gone").innerHTML));
});

// Browsers give no clipboard to pages without HTTPS from another machine, and may refuse it to any; but they copy what is
// selected, or else people do. Whether it is copied.
async function copied(from) {
  try {
    await navigator.clipboard.writeText("value" in from ? from.value : from.textContent);
    return true;
  } catch {
    if ("select" in from) from.select();
    else getSelection().selectAllChildren(from);
    return document.execCommand("copy");
  }
}

document.addEventListener("click", async ({ target }) => {
  const copy = target.closest("[data-copy]");
  if (copy) {
    const done = await copied(document.getElementById(copy.dataset.copy));
    const was = (copy.dataset.was ??= copy.innerHTML);
    copy.textContent = done ? copy.dataset.done : document.getElementById("press").content.textContent;
    setTimeout(() => { copy.innerHTML = was; }, done ? 1500 : 6000);
  }
  const opens = target.closest("[data-opens]");
  if (opens) document.getElementById(opens.dataset.opens).showModal();
  if (target.closest("[data-closes]")) target.closest("dialog").close();
  if (target.closest("#told [data-closes-told]")) told.replaceChildren();
});

// A browser opens six connections to a workbench for all its tabs together: a page that nobody sees gives up its
// stream, and asks anew when it is seen: every stream first says all there is. In use it is like an EventSource, for
// htmx too. Whoever hears `live:opens` may change the address.
class Live {
  #listeners = [];
  #stream = null;
  #retry = 0;
  #seen = () => (document.hidden ? this.#stop() : this.#open());

  constructor(address) {
    this.address = address;
    document.addEventListener("visibilitychange", this.#seen);
    this.#seen();
  }

  addEventListener(name, listener) {
    this.#listeners.push([name, listener]);
    this.#stream?.addEventListener(name, listener);
  }

  removeEventListener(name, listener) {
    this.#listeners = this.#listeners.filter(([itsName, its]) => itsName !== name || its !== listener);
    this.#stream?.removeEventListener(name, listener);
  }

  close() {
    document.removeEventListener("visibilitychange", this.#seen);
    this.#stop();
  }

  #open() {
    if (this.#stream) return;
    clearTimeout(this.#retry);
    document.dispatchEvent(new CustomEvent("live:opens", { detail: this }));
    this.#stream = new EventSource(this.address);
    this.#stream.onopen = (event) => this.onopen?.(event);
    this.#stream.onerror = (event) => {
      this.#stop();
      this.#retry = setTimeout(this.#seen, 3000);
      this.onerror?.(event);
    };
    for (const [name, listener] of this.#listeners) this.#stream.addEventListener(name, listener);
  }

  #stop() {
    clearTimeout(this.#retry);
    this.#stream?.close();
    this.#stream = null;
  }
}

htmx.createEventSource = (address) => new Live(address);

// What a stream adds to begins anew with it.
document.addEventListener("htmx:sseOpen", ({ target }) => {
  for (const list of target.querySelectorAll("[sse-swap][hx-swap=beforeend]")) list.replaceChildren();
});
