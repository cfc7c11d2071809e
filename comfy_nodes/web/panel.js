// A place for elements inside of a node. Owns its height and which of a person's acts are not meant for the canvas.
import { app } from "../../scripts/app.js";
import { el } from "./elements.js";

const MARGINS = 20;
const LEAST = 60;

/**
 * Adds `content` to the node as a widget that is never saved. It grows with what is in it (see `fit`) up to
 * `most` pixels, and beyond that when the node is made larger.
 */
export function panel(node, content, most = 420) {
  const element = el("div", { className: "wb wb-panel", data: { captureWheel: "true" } }, content);
  let height = LEAST;
  addUnsaved(node, "workbench", element, { getMinHeight: () => height + MARGINS });
  shield(element);
  const fit = () => {
    if (!element.contains(content)) return;
    const wanted = Math.min(most, Math.max(LEAST, tall(content)));
    if (wanted <= height) return;
    height = wanted;
    node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])]);
    node.setDirtyCanvas(true, true);
  };
  // While the node is out of sight nothing can be measured.
  new ResizeObserver(fit).observe(element);
  return fit;
}

/** Adds an element as a widget that has no value of its own. */
export function addUnsaved(node, name, element, options) {
  const none = { serialize: false, getValue: () => "", setValue: () => {} };
  const widget = node.addDOMWidget(name, "workbench", element, { ...none, ...options });
  widget.serialize = false;
  return widget;
}

/** How high it would like to be: parts that scroll count with all that is in them. */
function tall(content) {
  const inner = (part) => (part.classList.contains("wb-scroll") ? part.firstElementChild ?? part : part);
  return [...content.children].reduce((sum, part) => sum + (part.hidden ? 0 : inner(part).offsetHeight + 8), 12);
}

/** Keeps what is done inside from the canvas, except for what only the canvas can do: to zoom and to pan. */
function shield(element) {
  element.addEventListener("keydown", (event) => {
    if (!event.ctrlKey && !event.metaKey) event.stopPropagation();
  });
  element.addEventListener("wheel", (event) => {
    event.stopPropagation();
    const part = event.target.closest(".wb-scroll");
    const scrolls = part && (part.scrollHeight > part.clientHeight || part.scrollWidth > part.clientWidth);
    if (scrolls && !event.ctrlKey) return;
    event.preventDefault();
    app.canvas.processMouseWheel(event);
  });
  const pans = { pointerdown: "processMouseDown", pointermove: "processMouseMove", pointerup: "processMouseUp" };
  for (const [kind, act] of Object.entries(pans)) {
    element.addEventListener(kind, (event) => {
      event.stopPropagation();
      if (kind === "pointermove" ? event.buttons & 4 : event.button === 1) app.canvas[act](event);
    });
  }
}
