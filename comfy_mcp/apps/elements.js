// Small ways to make and find elements. Texts are always set as text: nothing that a server says becomes markup.
const byId = (id) => document.getElementById(id);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
const blank = (value) => value === null || value === undefined || value === "";

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(name, value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function button(text, click, attributes = {}) {
  return element("button", { type: "button", class: "quiet", click, ...attributes }, text);
}

/** Shows a text in an element, or hides the element when there is none. */
function tell(id, text) {
  const node = byId(id);
  if (node.textContent !== (text || "")) node.textContent = text || "";
  node.hidden = !text;
}

/** Says something to those who listen instead of looking. */
function speakOut(text) {
  byId("spoken").textContent = text;
}
