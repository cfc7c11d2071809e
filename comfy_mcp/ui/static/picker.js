// A choice among many: a box that searches, over the select that holds the choice. As the pattern of a combobox has it:
// arrows move, Enter takes, Escape leaves. Needs fields.js.
(() => {
  const MOST = 200;
  const selectOf = (box) => box.closest("[data-field]").querySelector("select");
  const listOf = (box) => document.getElementById(box.getAttribute("aria-controls"));
  const itemsOf = (box) => [...listOf(box).querySelectorAll("[role=option]")];

  /** The choices that hold the text, those that begin with it first. */
  function found(box, text) {
    const wanted = text.trim().toLowerCase();
    const rank = ({ value }) => {
      const name = value.toLowerCase();
      return name === wanted ? 0 : name.startsWith(wanted) ? 1 : 2;
    };
    const fitting = [...selectOf(box).options].filter((each) => each.value && each.value.toLowerCase().includes(wanted));
    return wanted ? fitting.sort((one, other) => rank(one) - rank(other)) : fitting;
  }

  /** The room above and below, without what bars cover. */
  function roomBeside(top, bottom) {
    const { scrollPaddingTop, scrollPaddingBottom } = getComputedStyle(document.documentElement);
    const [high, low] = [scrollPaddingTop, scrollPaddingBottom].map((each) => parseFloat(each) || 0);
    return [top - high, window.innerHeight - low - bottom];
  }

  function item(box, option, at) {
    const node = document.createElement("li");
    node.id = `${box.id}-${at}`;
    node.setAttribute("role", "option");
    node.setAttribute("aria-selected", String(option.selected));
    node.dataset.value = option.value;
    node.append(option.value);
    if ("loaded" in option.dataset) {
      const badge = document.createElement("span");
      badge.className = "badge good";
      badge.textContent = listOf(box).dataset.loaded;
      node.append(" ", badge);
    }
    return node;
  }

  function show(box, text) {
    const options = found(box, text);
    const list = listOf(box);
    list.replaceChildren(...options.slice(0, MOST).map((option, at) => item(box, option, at)));
    if (!options.length) list.append(list.dataset.none);
    list.hidden = false;
    const { top, bottom } = box.getBoundingClientRect();
    const [above, below] = roomBeside(top, bottom);
    list.classList.toggle("above", below < list.offsetHeight && above > below);
    box.setAttribute("aria-expanded", "true");
    const now = itemsOf(box).find((each) => each.getAttribute("aria-selected") === "true");
    mark(box, text ? itemsOf(box)[0] : now);
  }

  function mark(box, node) {
    for (const each of itemsOf(box)) each.classList.toggle("here", each === node);
    if (!node) return box.removeAttribute("aria-activedescendant");
    box.setAttribute("aria-activedescendant", node.id);
    node.scrollIntoView({ block: "nearest" });
  }

  function hide(box) {
    listOf(box).hidden = true;
    box.setAttribute("aria-expanded", "false");
    box.removeAttribute("aria-activedescendant");
  }

  function take(box, value) {
    hide(box);
    if (value !== selectOf(box).value) fields.tell(box.closest("[data-field]"), value);
    else box.value = value;
  }

  function move(box, by) {
    if (listOf(box).hidden) return show(box, "");
    const items = itemsOf(box);
    const at = items.findIndex((each) => each.classList.contains("here"));
    mark(box, items[at < 0 && by < 0 ? items.length - 1 : (at + by + items.length) % items.length]);
  }

  /** What was typed counts if it is a choice, or if not all are listed and none of those is like it. */
  function meant(box) {
    const text = box.value.trim();
    const [best] = text ? found(box, text) : [];
    if (best && best.value.toLowerCase() === text.toLowerCase()) return best.value;
    return text && !best && "more" in listOf(box).dataset ? text : selectOf(box).value;
  }

  const here = (box) => listOf(box).querySelector(".here");
  const keys = {
    ArrowDown: (box) => move(box, 1),
    ArrowUp: (box) => move(box, -1),
    Enter: (box) => take(box, here(box) ? here(box).dataset.value : meant(box)),
    Escape: (box) => take(box, selectOf(box).value),
  };

  const boxAt = ({ target }) => (target.matches && target.matches(".fields [role=combobox]") ? target : null);
  document.addEventListener("input", (event) => {
    if (boxAt(event)) show(event.target, event.target.value);
  });
  document.addEventListener("click", (event) => {
    const list = event.target.closest(".choosing [role=option]");
    if (boxAt(event) && listOf(event.target).hidden) {
      event.target.select();
      show(event.target, "");
    } else if (list) {
      take(list.closest(".choosing").querySelector("[role=combobox]"), list.dataset.value);
    }
  });
  document.addEventListener("keydown", (event) => {
    const box = boxAt(event);
    const open = box && !listOf(box).hidden;
    if (!box || !keys[event.key] || (!open && !event.key.startsWith("Arrow"))) return;
    event.preventDefault();
    event.stopPropagation();
    keys[event.key](box);
  });
  // The list does not take the focus from the box.
  document.addEventListener("mousedown", (event) => {
    if (event.target.closest(".choosing [role=listbox]")) event.preventDefault();
  });
  document.addEventListener("focusout", (event) => {
    const box = boxAt(event);
    if (box) take(box, meant(box));
  });
  document.documentElement.classList.add("picking");
})();
