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
