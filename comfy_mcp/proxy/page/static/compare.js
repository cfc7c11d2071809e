// Comparisons as they are looked at: keys that stand for links and buttons, and times as the reader's clock tells them.
const TYPES = "input:not([type=checkbox]), textarea, select, [contenteditable]";

// A key presses what says so on itself, wherever the focus is, unless somebody types or scrolls sideways.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest(TYPES)) return;
  if (event.key.startsWith("Arrow") && event.target.closest("[role=region], .scroll")) return;
  const pressed = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
  if (!pressed) return;
  event.preventDefault();
  pressed.click();
});

function tellTimes(within) {
  const clock = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
  for (const time of within.querySelectorAll("time[datetime]")) time.textContent = clock.format(new Date(time.dateTime));
}

tellTimes(document);
document.addEventListener("htmx:load", ({ detail }) => tellTimes(detail.elt));

// Who comes back to a grid that fills says which cells it has: those that are over are not drawn again.
document.addEventListener("live:opens", ({ detail: live }) => {
  const cells = [...document.querySelectorAll(".grid .cell")];
  if (!cells.length) return;
  const bit = (cell, at, stages) => (cell.matches(stages) ? 1n << BigInt(at) : 0n);
  const which = (stages) => cells.reduce((bits, cell, at) => bits | bit(cell, at, stages), 0n).toString(16);
  const address = new URL(live.address, location.href);
  address.searchParams.set("has", which(".answered, .failed"));
  address.searchParams.set("busy", which(".loading, .reading, .thinking, .writing"));
  live.address = address.href;
});

// A table that goes on beyond its edge fades there.
function fade(region) {
  region.classList.toggle("more", region.scrollWidth - region.clientWidth - Math.abs(region.scrollLeft) > 8);
}

const sizes = new ResizeObserver((seen) => { for (const { target } of seen) fade(target.closest(".scroll, .grid")); });
for (const region of document.querySelectorAll(".scroll, .grid")) {
  region.addEventListener("scroll", () => fade(region), { passive: true });
  sizes.observe(region);
}
document.addEventListener("htmx:load", () => document.querySelectorAll(".scroll, .grid").forEach(fade));
