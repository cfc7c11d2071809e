// A place for elements inside of a node. Owns its height and which of a person's acts are not meant for the canvas.
import { app } from "../../scripts/app.js";
import { el } from "./elements.js";

const MARGINS = 20;
const LEAST = 60;
const LINE = 36;

/**
 * Adds `content` to a node that is `height` pixels higher for it from the beginning, so that no result makes it cover
 * what is below. A node that was saved with another size keeps that.
 */
export function panel(node, content, height) {
  const element = framed(content);
  let least = height;
  addUnsaved(node, "workbench", element, { getMinHeight: () => least + MARGINS });
  enlarge(node);
  const { onConfigure } = node;
  node.onConfigure = function () {
    onConfigure?.apply(this, arguments);
    least = LEAST;
    least = Math.min(height, Math.max(LEAST, LEAST + node.size[1] - node.computeSize()[1]));
  };
}

/**
 * Adds `content` to the node, and gives back what makes it as high as its text is now, up to `most` pixels. Where it
 * is `snug`, it becomes no higher than its text in a larger node.
 */
export function growingPanel(node, content, { most = 240, snug = false } = {}) {
  const element = framed(content);
  let height = snug ? LINE : LEAST, whole = height;
  const highest = snug ? { getMaxHeight: () => whole + MARGINS } : {};
  addUnsaved(node, "workbench", element, { getMinHeight: () => height + MARGINS, ...highest });
  const fit = () => {
    // Out of sight nothing can be measured, nor before the page has given it its width.
    if (element.offsetWidth < node.size[0] / 2) return;
    const text = Math.max(LINE, tall(content)), wanted = Math.min(most, text);
    if (snug ? text === whole : wanted <= height) return;
    [height, whole] = [wanted, text];
    enlarge(node);
  };
  new ResizeObserver(fit).observe(element);
  return fit;
}

function framed(content) {
  const element = el("div", { className: "wb wb-panel", data: { captureWheel: "true" } }, content);
  shield(element);
  return element;
}

/** Makes the node as high as its widgets need it. */
function enlarge(node) {
  node.setSize([node.size[0], Math.max(node.size[1], node.computeSize()[1])]);
  node.setDirtyCanvas(true, true);
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
  const high = (part) => {
    if (part.querySelector(":scope > .wb-scroll")) return tall(part);
    return (part.classList.contains("wb-scroll") ? part.firstElementChild ?? part : part).offsetHeight;
  };
  return [...content.children].reduce((sum, part) => sum + (part.hidden ? 0 : high(part) + 8), 12);
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
