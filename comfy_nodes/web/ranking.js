// Who is preferred, as a small table; for comparisons and for votes.
import { el } from "./elements.js";
import { known } from "./words.js";

/** The models, the best first, on the scale of Elo; null when nothing was preferred yet. */
export function ranking(ranks) {
  if (!ranks?.length) return null;
  const heads = ["", "Model", "Rating", "Likely between", "Won"].map((text) => el("th", { scope: "col" }, text));
  const rows = ranks.map((rank, index) => {
    const range = known(rank.low) && known(rank.high) ? `${Math.round(rank.low)} and ${Math.round(rank.high)}` : "";
    const cells = [`${Math.round(rank.rating)}`, range, `${rank.wins} of ${rank.games}`];
    const name = el("th", { scope: "row" }, rank.model);
    return el("tr", {}, el("td", {}, `${index + 1}`), name, ...cells.map((text) => el("td", {}, text)));
  });
  const parts = [el("caption", {}, "Ranking"), el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...rows)];
  return el("table", { className: "wb-ranking" }, ...parts);
}
