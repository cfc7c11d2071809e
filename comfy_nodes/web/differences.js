// What differs between two texts, shown word by word: what is gone is struck through, what is new is underlined.
import { api } from "../../scripts/api.js";
import { el } from "./elements.js";

let loaded = null;

/** The pieces of two texts as [kind, text], of the kinds same, gone and new; null where they are too different. */
export async function difference(before, after) {
  // The reports that the pack writes compare in the same way, and so the function is theirs.
  loaded ??= import(api.apiURL("/comfyui-workbench/diff.js"));
  return (await loaded).difference(before, after);
}

/** The pieces that Python found, as `difference` has them. */
export function piecesOf(found) {
  const one = ({ op, left, right }) => {
    if (op === "same") return [["same", right]];
    return [["gone", left], ["new", right]].filter(([, text]) => text);
  };
  return found.flatMap(one);
}

/** Pieces as something to read. */
export function marked(pieces) {
  const parts = pieces.flatMap(([kind, text]) => {
    if (kind === "same") return [text];
    const bare = text.trimEnd() || text;
    return [el(kind === "gone" ? "del" : "ins", {}, bare), text.slice(bare.length)];
  });
  return el("div", { className: "wb-text", dir: "auto", lang: "" }, ...parts);
}

export function legend(first, second) {
  return el("p", { className: "wb-quiet wb-legend" },
    el("del", {}, "struck through"), ` is only in ${first}, `, el("ins", {}, "underlined"), ` is only in ${second}.`);
}
