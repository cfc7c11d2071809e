// The queue as it changes: one stream; what it tells is done in small steps, so that a long queue never holds the page up.
(() => {
  const queue = document.getElementById("queue");
  const lists = new Map([...queue.querySelectorAll("[data-list]")].map((list) => [list.dataset.list, list]));
  const cards = new Map([...lists].map(([name, list]) => [name, new Map([...list.children].map((card) => [card.dataset.key, card]))]));
  const spoken = document.getElementById("queue-told");
  const menu = document.getElementById("menu");
  const AT_ONCE = 5; // milliseconds of work before the browser may do something else

  const steps = [];
  const near = new Set();
  const watch = new IntersectionObserver(
    (seen) => {
      for (const { target, isIntersecting } of seen) {
        if (isIntersecting) near.add(target);
        else near.delete(target);
      }
      if (!due) later(() => {});
    },
    { rootMargin: "300px" },
  );
  let due = false;

  function work() {
    const until = performance.now() + AT_ONCE;
    while (steps.length && performance.now() < until) steps.shift()();
    due = steps.length > 0;
    if (due) setTimeout(work, 16);
    else settle();
  }

  // Only the rows near the screen say their number: one that comes first would change them all.
  function settle() {
    let number = 0;
    for (let card = lists.get("waiting").firstElementChild; card; card = card.nextElementSibling) {
      number += 1;
      if (near.has(card) && card.dataset.number !== String(number)) card.dataset.number = number;
    }
    if (menu.open) tellPlace();
  }

  function later(step) {
    steps.push(step);
    if (!due) setTimeout(work);
    due = true;
  }

  function drawn(html) {
    const holder = document.createElement("template");
    holder.innerHTML = html; // a card as the workbench drew it
    const card = holder.content.firstElementChild;
    for (const each of card.querySelectorAll("form")) htmx.process(each);
    return card;
  }

  // Who was at a button stays at it, or comes to the one that takes its place.
  function keepingFocus(name, card, change) {
    const held = card.contains(document.activeElement) ? document.activeElement : null;
    const next = card.nextElementSibling ?? card.previousElementSibling;
    const now = change();
    if (!held) return;
    const same = (within) => within?.querySelector(held.name ? `button[name="${held.name}"]` : "button");
    (same(now) ?? same(next) ?? document.getElementById(`${name}-title`)).focus();
  }

  function forget(card) {
    near.delete(card);
    watch.unobserve(card);
  }

  function drop(name, key) {
    const card = cards.get(name).get(key);
    if (!card) return;
    cards.get(name).delete(key);
    forget(card);
    keepingFocus(name, card, () => card.remove());
    if (menu.open && menu.dataset.job === key && name === "waiting") menu.close();
  }

  function put(name, [key, after, tag, html]) {
    const known = cards.get(name);
    let card = known.get(key);
    if (html && card?.dataset.tag !== tag) {
      const fresh = drawn(html);
      if (card) keepingFocus(name, card, () => (card.replaceWith(fresh), fresh));
      if (card) forget(card);
      if (name === "waiting") watch.observe(fresh);
      known.set(key, fresh);
      card = fresh;
    }
    const before = after === null ? null : known.get(after);
    if (!card || (after !== null && !before) || (card.isConnected && card.previousElementSibling === before)) return;
    if (before) keepingFocus(name, card, () => (before.after(card), card));
    else keepingFocus(name, card, () => (lists.get(name).prepend(card), card));
  }

  function say(element, text) {
    if (element && element.textContent !== text) element.textContent = text;
  }

  function progressed(key, { done, step, text, preview }) {
    const card = cards.get("running").get(key);
    if (!card) return;
    card.querySelector("progress").value = done;
    say(card.querySelector(".step"), step);
    const written = card.querySelector(".text");
    written.hidden = !text;
    say(written, text);
    if (!preview) return;
    const picture = card.querySelector(".live");
    picture.src = preview;
    picture.hidden = false;
  }

  function changed(told) {
    for (const [name, keys] of Object.entries(told.all ?? {})) {
      const wanted = new Set(keys);
      for (const key of cards.get(name).keys()) if (!wanted.has(key)) later(() => drop(name, key));
    }
    for (const [name, list] of Object.entries(told.lists ?? {})) {
      for (const key of list.gone) later(() => drop(name, key));
      for (const each of list.put) later(() => put(name, each));
    }
    for (const [name, text] of Object.entries(told.texts ?? {})) later(() => say(queue.querySelector(`[data-text="${name}"]`), text));
    if (told.why) later(() => explain(told.why));
    for (const [key, text] of Object.entries(told.starts ?? {})) later(() => say(cards.get("waiting").get(key)?.querySelector(".starts"), text));
    for (const [key, each] of Object.entries(told.progress ?? {})) later(() => progressed(key, each));
  }

  function explain(why) {
    for (const card of cards.get("waiting").values()) {
      const text = why[card.dataset.lane];
      if (text !== undefined) later(() => say(card.querySelector(".why"), text));
    }
  }

  function clock() {
    for (const each of queue.querySelectorAll("[data-elapsed]")) {
      each.since ??= performance.now() - each.dataset.elapsed * 1000;
      const seconds = Math.round((performance.now() - each.since) / 1000);
      say(each, `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`);
    }
  }

  function tellPlace() {
    const line = [...lists.get("waiting").children];
    const number = line.findIndex((card) => card.dataset.key === menu.dataset.job) + 1;
    const place = document.getElementById("menu-place");
    say(place, place.dataset.textOf.replace("{number}", number).replace("{many}", line.length));
  }

  function openMenu(card) {
    menu.dataset.job = card.dataset.key;
    for (const field of menu.querySelectorAll("[name=job]")) field.value = card.dataset.key;
    say(document.getElementById("menu-title"), card.querySelector("strong").textContent);
    say(document.getElementById("menu-about"), card.querySelector(".about").textContent);
    document.getElementById("menu-priority").value = card.dataset.priority;
    tellPlace();
    menu.showModal();
  }

  lists.get("waiting").addEventListener("click", ({ target }) => {
    const button = target.closest("[data-menu]");
    if (button) openMenu(button.closest("li"));
  });
  menu.addEventListener("close", () => cards.get("waiting").get(menu.dataset.job)?.querySelector("[data-menu]").focus());
  document.addEventListener("queue:told", ({ detail }) => say(spoken, detail.value));
  document.getElementById("clear").addEventListener("htmx:afterRequest", ({ detail }) => detail.successful && detail.target.closest("dialog").close());

  for (const card of cards.get("waiting").values()) watch.observe(card);
  setInterval(clock, 1000);
  clock();
  const live = new Live(queue.dataset.events);
  live.addEventListener("change", ({ data }) => changed(JSON.parse(data)));

  // A browser does not tell whether a stream was refused or the workbench is away: the page itself does.
  live.onerror = async () => {
    const answer = await fetch(location.pathname, { redirect: "manual" }).catch(() => null);
    if (answer?.status === 401 || answer?.type === "opaqueredirect") location.reload();
  };
})();
