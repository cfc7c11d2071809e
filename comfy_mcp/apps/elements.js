// Small ways to make and find elements. Texts are always set as text: nothing that a server says becomes markup.
const byId = (id) => document.getElementById(id);
const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

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

const ICONS = {
  dice: "M4 2h8a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2V4a2 2 0 0 1 2-2zM5.5 5.5h.01M10.5 5.5h.01M8 8h.01M5.5 10.5h.01M10.5 10.5h.01",
  lock: "M3.5 7h9v7h-9zM5.5 7V4.5a2.5 2.5 0 0 1 5 0V7",
  reset: "M3 8a5 5 0 1 0 1.6-3.7M3 2.5V5h2.5",
};

function iconButton(icon, name, click, attributes = {}) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[icon]);
  svg.append(path);
  return button(svg, click, { class: "icon", "aria-label": name, title: name, ...attributes });
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
