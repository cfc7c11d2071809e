// The pictures: cards with what made them, one enlarged, or two side by side under a slider. Newest first.
const gallery = { items: [], chosen: [], shown: null };

/** Takes the pictures of a job. The picture blocks of an answer are the first of them, in order. */
function addPictures(job, blocks) {
  const known = new Map(gallery.items.map((item) => [item.id, item]));
  const made = job.pictures.map((picture, place) => {
    const item = known.get(picture.id) || { ...picture, job, src: null, missing: false };
    if (blocks[place]) item.src = dataUrl(blocks[place].mimeType, blocks[place].data);
    return item;
  });
  const fresh = made.filter((item) => !known.has(item.id));
  gallery.items = [...fresh, ...gallery.items];
  drawGallery();
  for (const item of made) if (!item.src) fetchPicture(item);
  return fresh.length;
}

function dataUrl(mime, data) {
  return `data:${/^image\//.test(mime || "") ? mime : "image/png"};base64,${data}`;
}

async function fetchPicture(item) {
  try {
    const { blob, mimeType } = await readResource(`asset://${item.id}/preview`);
    item.src = dataUrl(mimeType, blob);
  } catch {
    item.missing = true;
    tell("note", say("noResources"));
  }
  drawGallery();
}

const sizeOf = (item) => (item.width ? `${item.width} × ${item.height}` : "");
const seedOf = (item) => (blank(item.job.values.seed) ? "" : say("seed", item.job.values.seed));
const nameOf = (item) => [seedOf(item), sizeOf(item)].filter(Boolean).join(", ") || item.id;

function image(item, attributes = {}) {
  const ratio = item.width ? `aspect-ratio: ${item.width} / ${item.height}` : null;
  if (item.src) return element("img", { src: item.src, alt: nameOf(item), style: ratio, ...attributes });
  return element("span", { class: "missing", style: ratio }, say(item.missing ? "notShown" : "loading"));
}

function drawGallery() {
  byId("gallery").hidden = !gallery.items.length;
  const focused = document.activeElement && document.activeElement.dataset.key;
  byId("pictures").replaceChildren(...gallery.items.map(card));
  byId("pictures").classList.toggle("alone", gallery.items.length === 1);
  if (focused) refocus(focused);
  drawStage();
}

function refocus(key) {
  const found = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (found) found.focus();
}

function card(item) {
  const place = gallery.chosen.indexOf(item);
  const act = (text, name, click, attributes = {}) => button(text, click, {
    "data-key": `${name}:${item.id}`, "aria-label": `${text}: ${nameOf(item)}`, ...attributes,
  });
  return element(
    "li", { class: place < 0 ? "" : "picked" },
    element(
      "button",
      {
        type: "button", class: "thumb", click: () => enlarge(item), "data-key": `open:${item.id}`,
        "aria-label": say("enlarge", nameOf(item)),
      },
      image(item), place < 0 ? null : element("span", { class: "badge", "aria-hidden": "true" }, String(place + 1)),
    ),
    caption(item),
    element(
      "div", { class: "actions" },
      act(say("useInput"), "input", () => useAsInput(item)),
      act(say("again"), "again", () => makeAgain(item)),
      gallery.items.length > 1
        ? act(say("compare"), "compare", () => choose(item), { "aria-pressed": String(place >= 0) }) : null,
    ),
  );
}

function caption(item) {
  return element(
    "p", { class: "caption" },
    element("span", {}, nameOf(item)),
    item.job.id ? element("span", { class: "id", title: item.id }, say("job", item.job.id)) : null,
  );
}

function choose(item) {
  gallery.shown = null;
  if (gallery.chosen.includes(item)) gallery.chosen = gallery.chosen.filter((other) => other !== item);
  else gallery.chosen = [...gallery.chosen.slice(-1), item];
  drawGallery();
  if (gallery.chosen.length === 1) speakOut(say("compareHint"));
  if (gallery.chosen.length === 2) byId("compare").focus();
}

function enlarge(item) {
  gallery.shown = item;
  drawStage();
  byId("stage").focus();
  byId("stage").scrollIntoView({ block: "nearest" });
}

function closeStage() {
  const back = gallery.shown || gallery.chosen[0];
  gallery.shown = null;
  gallery.chosen = [];
  drawGallery();
  if (back) refocus(`open:${back.id}`);
}

function step(by) {
  const count = gallery.items.length;
  gallery.shown = gallery.items[(gallery.items.indexOf(gallery.shown) + by + count) % count];
  drawStage();
  byId("stage").focus();
}

function drawStage() {
  const stage = byId("stage");
  const [first, second] = gallery.chosen;
  stage.hidden = !gallery.shown && !second;
  if (stage.hidden) stage.replaceChildren();
  else if (gallery.shown) stage.replaceChildren(image(gallery.shown), stageLine(gallery.shown));
  else if (stage.dataset.pair !== pairKey() || !byId("compare")) stage.replaceChildren(...comparison(first, second));
  stage.dataset.pair = second && !gallery.shown ? pairKey() : "";
  stage.setAttribute("aria-label", gallery.shown ? nameOf(gallery.shown) : say("compare"));
}

const pairKey = () => gallery.chosen.map((item) => item.id + Boolean(item.src)).join(" ");

function stageLine(item) {
  const many = gallery.items.length > 1;
  return element(
    "div", { class: "line" }, caption(item),
    element(
      "div", { class: "actions" },
      many ? button(say("previous"), () => step(-1)) : null, many ? button(say("next"), () => step(1)) : null,
      button(say("close"), closeStage),
    ),
  );
}

/** Two pictures on each other; a range input over them moves the edge between, by pointer and by arrow keys. */
function comparison(first, second) {
  const over = element("div", { class: "over" }, image(first, { style: null }));
  const box = element("div", { class: "compare" });
  const move = () => {
    box.style.setProperty("--edge", `${range.value}%`);
    range.setAttribute("aria-valuetext", `${range.value} %`);
  };
  const range = element("input", {
    type: "range", id: "compare", min: 0, max: 100, value: 50, "aria-label": say("comparing"), input: move,
    "data-key": "compare",
  });
  box.append(image(second), over, element("span", { class: "edge", "aria-hidden": "true" }), range);
  move();
  const side = (name, item) => element("p", { class: "caption" }, element("span", {}, `${name}: ${nameOf(item)}`));
  return [box, element(
    "div", { class: "line" }, side(say("first"), first), side(say("second"), second),
    element("div", { class: "actions" }, button(say("close"), closeStage)),
  )];
}

byId("stage").addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeStage();
  else if (gallery.shown && event.key === "ArrowLeft") step(-1);
  else if (gallery.shown && event.key === "ArrowRight") step(1);
});
