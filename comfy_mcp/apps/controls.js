// One control for each type of parameter: {node, focus, get, set}. `get` gives undefined for "not given".
const MOST_LISTED = 12;
const MOST_SLID = 100000;
const SEEDS = 2 ** 32;

const blank = (value) => value === null || value === undefined || value === "";

function textControl(told, id) {
  const box = element("textarea", { id, rows: told.name === "prompt" ? 3 : 2 });
  return simple(box, () => box.value);
}

function lineControl(told, id) {
  const picture = told.type === "image" || told.type === "mask";
  const box = element("input", { id, type: "text", autocomplete: "off", spellcheck: "false" });
  if (picture) box.placeholder = say("pictureId");
  return simple(box, () => box.value.trim());
}

function simple(box, read) {
  return {
    node: box,
    focus: box,
    get: () => (read() === "" ? undefined : read()),
    set: (value) => { box.value = blank(value) ? "" : String(value); },
  };
}

function boolControl(told, id) {
  const box = element("input", { id, type: "checkbox" });
  return { node: box, focus: box, get: () => box.checked, set: (value) => { box.checked = value === true; } };
}

function numberBox(told, id) {
  const whole = told.type !== "float";
  const step = told.step || (whole ? 1 : "any");
  return element("input", {
    id, type: "number", min: told.min, max: told.max, step, inputmode: whole ? "numeric" : "decimal",
  });
}

/** What a number box holds: undefined when empty, NaN when it is no number, text when JavaScript would round it. */
function numberIn(box) {
  if (box.validity.badInput) return NaN;
  if (box.value === "") return undefined;
  const value = Number(box.value);
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? box.value : value;
}

function numberControl(told, id) {
  const box = numberBox(told, id);
  const set = (value) => { box.value = blank(value) ? "" : String(value); };
  if (blank(told.min) || blank(told.max) || told.max - told.min > MOST_SLID) {
    return { node: box, focus: box, get: () => numberIn(box), set };
  }
  const step = told.step || (told.type === "float" ? (told.max - told.min) / 100 : 1);
  const slide = element("input", {
    type: "range", min: told.min, max: told.max, step, "aria-label": say("slider", label(told.label)),
    input: () => { box.value = slide.value; },
  });
  const follow = () => {
    slide.value = box.value === "" ? told.min : box.value;
    const share = (slide.value - told.min) / (told.max - told.min || 1);
    slide.style.setProperty("--share", `${share * 100}%`);
  };
  box.addEventListener("input", follow);
  slide.addEventListener("input", follow);
  return {
    node: element("div", { class: "pair" }, slide, box),
    focus: box,
    get: () => numberIn(box),
    set: (value) => { set(value); follow(); },
  };
}

/** A seed is drawn anew each time, unless the lock is on: typing, drawing or being given one turns it on. */
function seedControl(told, id) {
  const box = numberBox(told, id);
  box.removeAttribute("min");
  box.placeholder = say("random");
  const most = Math.min(blank(told.max) ? SEEDS : told.max, SEEDS);
  const hold = (on) => {
    lock.setAttribute("aria-pressed", String(on));
    box.classList.toggle("faint", !on);
  };
  const lock = iconButton("lock", say("lock"), () => {
    const on = lock.getAttribute("aria-pressed") !== "true";
    if (on && box.value === "") box.value = String(Math.floor(Math.random() * most));
    hold(on);
    changed();
  });
  const dice = iconButton("dice", say("dice"), () => {
    box.value = String(Math.floor(Math.random() * most));
    hold(true);
    changed();
  });
  const changed = () => box.dispatchEvent(new Event("change", { bubbles: true }));
  box.addEventListener("input", () => hold(box.value !== ""));
  hold(false);
  return {
    node: element("div", { class: "seed" }, box, dice, lock),
    focus: box,
    get: () => (lock.getAttribute("aria-pressed") === "true" ? numberIn(box) : undefined),
    set: (value) => {
      box.value = blank(value) || value === -1 ? "" : String(value);
      hold(box.value !== "");
    },
    /** The seed that was drawn for a picture: there to be locked, but not locked. */
    suggest: (value) => { if (lock.getAttribute("aria-pressed") !== "true") box.value = String(value); },
  };
}

function choiceControl(told, id) {
  const titles = told.titles || {};
  // A person types what they read, in letters of any size.
  const alike = (choice, text) => [String(choice), titles[choice] || ""].some((name) => name.toLowerCase() === text);
  const find = (text) => told.choices.find((choice) => String(choice) === text)
    ?? told.choices.find((choice) => alike(choice, text.toLowerCase())) ?? text;
  const options = told.choices.map((choice) => element("option", { value: choice }, titles[choice] || String(choice)));
  if (told.choices.length > MOST_LISTED) {
    const list = element("datalist", { id: `${id}-list` }, ...options);
    const hint = blank(told.default) ? say("search", told.choices.length) : String(told.default);
    const box = element("input", { id, type: "text", list: list.id, placeholder: hint, autocomplete: "off" });
    const control = simple(box, () => box.value.trim());
    return {
      ...control,
      node: element("div", { class: "search" }, box, list),
      get: () => (control.get() === undefined ? undefined : find(control.get())),
      // The default stays a placeholder: a filled box would offer nothing but itself.
      set: (value) => control.set(value === told.default ? "" : value),
    };
  }
  const nothing = blank(told.default) ? [element("option", { value: "" }, told.blank || "—")] : [];
  const select = element("select", { id }, ...nothing, ...options);
  return {
    node: select,
    focus: select,
    get: () => (select.value === "" ? undefined : find(select.value)),
    set: (value) => {
      const text = blank(value) ? "" : String(value);
      const known = [...select.options].some((option) => option.value === text);
      if (!known) select.append(element("option", { value: text }, text || "—"));
      select.value = text;
    },
  };
}

function control(told, id) {
  if (told.choices && told.type !== "image" && told.type !== "mask") return choiceControl(told, id);
  const makers = { text: textControl, int: numberControl, float: numberControl, seed: seedControl, bool: boolControl };
  return (makers[told.type] || lineControl)(told, id);
}
