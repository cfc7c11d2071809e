// What the controls of a form do, wherever one is: everything is heard on the document, and what is known of a field
// stands in its markup, so a form that comes later needs nothing to be started. The host page may set `fields.upload`.
const fields = (() => {
  const SEEDS = 2 ** 32;
  const all = (root) => [...root.querySelectorAll("[data-field]")];
  const fieldOf = (node) => (node.closest ? node.closest("[data-field]") : null);
  const named = (root, name) => all(root).find((field) => field.dataset.field === name);
  const boxOf = (field) => field.querySelector("[name]:not([type=hidden])");
  const FOCUSED = ["[data-chooses]", "[role=combobox]", "[type=radio]:checked", "[name]:not([type=hidden])"];
  const seenNow = (node) => node && node.getClientRects().length > 0;
  const focusOf = (field) => FOCUSED.map((each) => field.querySelector(each)).find(seenNow) || boxOf(field);
  const holds = (field) => field.querySelector("[data-holds]").getAttribute("aria-pressed") === "true";

  function read(field) {
    const box = field.dataset.kind === "style" ? field.querySelector(":checked") : boxOf(field);
    if (!box) return "";
    return box.type === "checkbox" ? String(box.checked) : box.value;
  }

  function write(field, text) {
    const box = boxOf(field);
    const kind = field.dataset.kind;
    if (kind === "style") {
      const radio = [...field.querySelectorAll("[type=radio]")].find((each) => each.value === text);
      if (radio) radio.checked = true;
    } else if (kind === "switch") box.checked = text === "true";
    else if (box.tagName === "SELECT") pick(box, text);
    else box.value = text;
    if (kind === "seed") hold(field, text !== "");
    if (kind === "picture") showPicture(field, "");
    follow(field);
  }

  function pick(select, text) {
    if (![...select.options].some((option) => option.value === text)) select.add(new Option(text || "—", text));
    select.value = text;
  }

  /** What belongs to the value is drawn after it. */
  function follow(field) {
    const slide = field.querySelector("[data-slides]");
    if (slide) slide.value = read(field) || slide.min;
    const combobox = field.querySelector("[role=combobox]");
    if (combobox) combobox.value = read(field);
    grow(field.querySelector("textarea"));
  }

  function grow(box) {
    if (!box || CSS.supports("field-sizing", "content")) return;
    box.style.height = "auto";
    box.style.height = `${box.scrollHeight + 2}px`;
  }

  /** The person has set it. */
  function touch(field) {
    field.toggleAttribute("data-set", true);
    const resets = field.querySelector("[data-resets]");
    if (resets) resets.hidden = read(field) === field.dataset.default;
    tellError(field, "");
  }

  function tell(field, text) {
    write(field, text);
    touch(field);
    boxOf(field).dispatchEvent(new Event("change", { bubbles: true }));
  }

  function reset(field) {
    tell(field, field.dataset.default);
    field.removeAttribute("data-set");
    focusOf(field).focus();
  }

  function tellError(field, text) {
    const place = field.querySelector(".error");
    place.textContent = text;
    place.hidden = !text;
    field.classList.toggle("refused", Boolean(text));
    for (const box of field.querySelectorAll("[aria-describedby]")) {
      if (text) box.setAttribute("aria-invalid", "true");
      else box.removeAttribute("aria-invalid");
    }
  }

  function hold(field, on) {
    field.querySelector("[data-holds]").setAttribute("aria-pressed", String(on));
  }

  function draw(field) {
    const box = boxOf(field);
    const most = Math.min(box.max === "" ? SEEDS : Number(box.max) + 1, SEEDS);
    tell(field, String(Math.floor(Math.random() * most)));
  }

  function toggleHold(field) {
    if (!holds(field) && boxOf(field).value === "") draw(field);
    else hold(field, !holds(field));
    boxOf(field).dispatchEvent(new Event("change", { bubbles: true }));
  }

  /** The seed that was drawn: there to be held, but not held. */
  function suggest(field, seed) {
    if (field.dataset.kind === "seed" && !holds(field)) boxOf(field).value = seed;
  }

  function showPicture(field, address) {
    const image = field.querySelector("img");
    image.hidden = !address;
    if (address) image.src = address;
    else image.removeAttribute("src");
  }

  /** Where a picture goes: to the field that it was given to, or else to the first that has none. */
  function pictureFor(node) {
    const given = fieldOf(node);
    if (given && given.dataset.kind === "picture") return given;
    const found = all(document).filter((field) => field.dataset.kind === "picture");
    return found.find((field) => !read(field)) || found[0];
  }

  /** Takes a file that was chosen, dropped or pasted; the host page sends it and says what it is called there. */
  async function take(field, file) {
    const says = field.closest(".fields").dataset;
    if (!file || !file.type.startsWith("image/")) return tellError(field, says.noPicture);
    if (!api.upload) return tellError(field, says.notSent);
    const choose = field.querySelector("[data-chooses]");
    const was = [...choose.childNodes];
    choose.replaceChildren(says.sending);
    choose.disabled = true;
    try {
      const { id, url } = await api.upload(file, field.dataset.type);
      tell(field, id);
      showPicture(field, url);
    } catch (failure) {
      tellError(field, failure.message || says.notSent);
    } finally {
      choose.disabled = false;
      choose.replaceChildren(...was);
    }
  }

  /** What is posted for the fields below a node: by name, what the person set, and how every seed is chosen. */
  function posted(root) {
    const told = new Map();
    for (const field of all(root)) {
      const { kind, field: name } = field.dataset;
      if (kind === "seed") told.set(name, holds(field) ? read(field) : "-1");
      else if (kind !== "locked" && field.hasAttribute("data-set")) told.set(name, read(field));
    }
    return told;
  }

  /** Shows texts at the fields of these names, and gives those that have none. */
  function showErrors(errors, root = document) {
    const rest = {};
    let first = null;
    for (const [name, text] of Object.entries(errors)) {
      const field = named(root, name);
      if (field) tellError(field, text);
      else rest[name] = text;
      first = first || field;
    }
    if (first) {
      for (let fold = first.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
      focusOf(first).focus();
    }
    return rest;
  }

  function clearErrors(root = document) {
    for (const field of all(root)) tellError(field, "");
  }

  document.addEventListener("input", ({ target }) => {
    const field = fieldOf(target);
    if (!field || target.matches("[role=combobox], [type=file]")) return;
    if (target.matches("[data-slides]")) boxOf(field).value = target.value;
    else if (field.dataset.kind === "number") follow(field);
    if (field.dataset.kind === "seed") hold(field, target.value !== "");
    if (field.dataset.kind === "picture") showPicture(field, "");
    grow(field.querySelector("textarea"));
    touch(field);
  });
  document.addEventListener("change", ({ target }) => {
    if (target.type === "file" && fieldOf(target)) {
      take(fieldOf(target), target.files[0]);
      target.value = "";
    }
  });
  document.addEventListener("click", ({ target }) => {
    const pressed = target.closest("button");
    const field = pressed && fieldOf(pressed);
    if (field && "resets" in pressed.dataset) reset(field);
    else if (field && "draws" in pressed.dataset) draw(field);
    else if (field && "holds" in pressed.dataset) toggleHold(field);
    else if (field && "chooses" in pressed.dataset) field.querySelector("[type=file]").click();
  });
  for (const happened of ["dragover", "drop"]) {
    document.addEventListener(happened, (event) => {
      // Beside a field, too, or the browser would leave the page for the picture.
      if (!document.querySelector(".fields") || !event.dataTransfer.types.includes("Files")) return;
      event.preventDefault();
      const field = happened === "drop" && pictureFor(event.target);
      if (field) take(field, event.dataTransfer.files[0]);
    });
  }
  document.addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].find((each) => each.type.startsWith("image/"));
    const field = pictureFor(event.target);
    if (!file || !field) return;
    event.preventDefault();
    take(field, file);
  });
  document.addEventListener("formdata", ({ target, formData }) => {
    for (const root of target.querySelectorAll(".fields")) {
      for (const field of all(root)) formData.delete(field.dataset.field);
      for (const [name, text] of posted(root)) formData.set(name, text);
      formData.set("only-set", "1");
    }
  });
  // A browser cannot point at what is wrong inside a fold.
  document.addEventListener("invalid", ({ target }) => {
    const fold = fieldOf(target) && target.closest("details");
    if (fold) fold.open = true;
  }, true);

  document.documentElement.classList.add("scripted");
  const api = { upload: null, named, read, tell, reset, suggest, posted, showErrors, clearErrors, showPicture };
  return api;
})();
