// The tools: a run is followed while it goes on, refusals are shown at their fields, dialogs open when they are filled.
(() => {
  const byId = (id) => document.getElementById(id);
  let source = null;

  /** Follows the run that the panel shows, if it goes on. */
  function follow() {
    const panel = byId("result");
    const address = panel ? panel.dataset.events : undefined;
    if (source && source.address === address) return;
    if (source) source.close();
    source = null;
    if (!address) return;
    source = new Live(address);
    source.addEventListener("progress", ({ data }) => show(JSON.parse(data)));
    source.addEventListener("end", () => {
      source.close();
      // The panel may have been exchanged since.
      const now = byId("result");
      htmx.ajax("GET", now.dataset.then, { source: now, target: now, swap: "outerHTML" });
    });
  }

  function show(told) {
    if (!byId("said")) return;
    if (byId("said").dataset.state !== told.state) speak(told.said);
    byId("said").dataset.state = told.state;
    byId("said").textContent = told.said;
    byId("fraction").value = told.fraction;
    if (told.preview) byId("preview").src = told.preview;
    byId("preview").hidden = !byId("preview").src;
    if (told.text) byId("text").textContent = told.text;
    byId("text").hidden = !byId("text").textContent;
  }

  /** For those who listen instead of looking. */
  function speak(text) {
    if (byId("spoken") && text) byId("spoken").textContent = text;
  }

  /** The seed that was drawn stands in its box, there to be kept, and is not kept by itself. */
  function suggestSeed() {
    const field = byId("form") && fields.named(byId("form"), "seed");
    const seed = byId("result").dataset.seed;
    if (field && seed) fields.suggest(field, seed);
  }

  function keepSeed(event) {
    const field = fields.named(byId("form"), "seed");
    if (!field || field.dataset.kind !== "seed") return;
    event.preventDefault();
    fields.tell(field, byId("result").dataset.seed);
    byId("run").focus();
  }

  function panelCame() {
    follow();
    speak(byId("result").dataset.spoken);
    suggestSeed();
  }

  /** On a phone the result is below the form. */
  function showResult() {
    const { top } = byId("result").getBoundingClientRect();
    if (top > window.innerHeight * 0.6) byId("result").scrollIntoView({ block: "start" });
  }

  function refuse({ parameter, message, hint }) {
    const text = `${message} ${hint}`.trim();
    const rest = fields.showErrors({ [parameter]: text }, byId("form"));
    if (!Object.keys(rest).length) return;
    const notice = document.createElement("p");
    notice.className = "notice bad";
    notice.textContent = text;
    byId("told").replaceChildren(notice);
  }

  async function upload(file) {
    const form = new FormData();
    form.set("file", file);
    const answer = await fetch("/api/v1/assets", { method: "POST", body: form });
    const told = await answer.json();
    if (!answer.ok) throw new Error(`${told.error.message} ${told.error.hint}`);
    return told;
  }

  document.addEventListener("refused", ({ detail }) => refuse(detail));
  document.addEventListener("htmx:beforeRequest", ({ detail }) => {
    if (detail.elt.id === "form") fields.clearErrors(detail.elt);
  });
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    const dialog = detail.requestConfig.elt.closest("dialog[open]");
    if (dialog && detail.xhr.status >= 400 && detail.xhr.getResponseHeader("content-type")?.startsWith("text/html")) {
      dialog.querySelector(".refusal").innerHTML = detail.xhr.response;
    }
    // What had the focus goes away with the panel.
    const panel = byId("result");
    if (panel && detail.target === panel) panel.dataset.focused = String(panel.contains(document.activeElement));
  });
  document.addEventListener("htmx:afterSwap", ({ detail }) => {
    if (detail.target.id === "asked") {
      const dialog = byId("asking");
      dialog.querySelector(".refusal").replaceChildren();
      if (!dialog.open) dialog.showModal();
    }
    if (detail.target.id !== "result") return;
    if (detail.target.dataset.focused === "true" && document.activeElement === document.body) byId("result").focus();
    panelCame();
    if (detail.requestConfig.elt.id === "form") showResult();
  });
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    const { closesAfter } = detail.elt.dataset;
    if (!detail.successful || !closesAfter) return;
    byId("asking").close();
    // What opened the dialog came anew meanwhile.
    byId(closesAfter).focus();
    speak(byId("saved")?.textContent.trim() || detail.elt.dataset.spoken);
  });
  document.addEventListener("click", (event) => {
    if (event.target.closest("[data-same-seed]")) keepSeed(event);
  });
  document.addEventListener("input", ({ target }) => {
    if (!target.dataset.searches) return;
    const wanted = target.value.trim().toLowerCase();
    const place = byId(target.dataset.searches);
    const cards = [...place.querySelectorAll("[data-text]")];
    for (const card of cards) card.hidden = !card.dataset.text.toLowerCase().includes(wanted);
    for (const group of place.querySelectorAll("[data-group]")) {
      group.hidden = !group.querySelector("[data-text]:not([hidden])");
    }
    byId("no-card").hidden = cards.some((card) => !card.hidden);
  });

  if (byId("search")) byId("search").hidden = false;
  if (byId("form")) fields.upload = upload;
  if (byId("result")) panelCame();
})();
