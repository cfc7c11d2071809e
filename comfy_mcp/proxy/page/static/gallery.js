// The gallery beyond links and forms: what is picked, arrow keys between pictures, the slider, and times as people say them.
const picking = document.querySelector("[data-picking]");

function showPicked() {
  const count = picking.querySelectorAll(".pick input:checked").length;
  const bar = picking.querySelector("[data-picked]");
  bar.hidden = count === 0;
  bar.querySelector("[data-count]").textContent = count;
  bar.querySelector("[data-two]").disabled = count !== 2;
}

if (picking) {
  picking.addEventListener("change", showPicked);
  picking.addEventListener("reset", () => setTimeout(showPicked));
  // A browser that comes back to the page ticks again what was ticked.
  addEventListener("pageshow", showPicked);
  showPicked();
}

document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  if (event.target.closest("input, select, textarea, video, audio, [tabindex='0']")) return;
  const rel = { ArrowLeft: "prev", ArrowRight: "next" }[event.key];
  const link = rel && document.querySelector(`a[rel="${rel}"]`);
  if (link) location.replace(link.href);
});

const over = document.querySelector("[data-over]");
if (over) {
  const slider = document.querySelector("[data-at]");
  const [width, height] = ["width", "height"].map((side) => Number(over.querySelector("img").getAttribute(side)));
  if (width && height) {
    over.parentElement.style.setProperty("--ratio", width / height);
    over.parentElement.style.setProperty("--natural", `${width}px`);
  }
  const show = () => over.style.setProperty("--at", `${slider.value}%`);
  const follow = ({ clientX }) => {
    const { left, width } = over.getBoundingClientRect();
    slider.value = Math.round(((clientX - left) / width) * 100);
    show();
  };
  slider.addEventListener("input", show);
  over.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    over.setPointerCapture(event.pointerId);
    follow(event);
  });
  over.addEventListener("pointermove", (event) => { if (event.buttons) follow(event); });
  show();
}

for (const moment of document.querySelectorAll("[data-moment]")) {
  const told = new Date(moment.dateTime);
  moment.textContent = told.toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
}

for (const varied of document.querySelectorAll("[data-varied]")) {
  const hint = varied.querySelector("[data-now-is]");
  varied.querySelector("select").addEventListener("change", ({ target }) => {
    const { now, hint: choices } = target.selectedOptions[0].dataset;
    hint.textContent = now === undefined ? "" : `${hint.dataset.nowIs}: ${now}${choices ? ` · ${choices}` : ""}`;
  });
}
