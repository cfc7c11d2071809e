// Templates: a workflow dropped or pasted anywhere on the page is imported, and a draft is kept while it is written.
const importing = document.getElementById("import");

function bring(file) {
  const given = new DataTransfer();
  given.items.add(file);
  importing.elements.file.files = given.files;
  importing.requestSubmit();
}

if (importing) {
  importing.addEventListener("submit", () => {
    const told = document.getElementById("importing");
    told.textContent = told.dataset.busy;
  });
  importing.elements.file.addEventListener("change", () => importing.requestSubmit());
  const carries = (event) => [...event.dataTransfer.types].includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!carries(event)) return;
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) document.body.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    document.body.classList.remove("dropping");
    if (!carries(event)) return;
    event.preventDefault();
    if (event.dataTransfer.files.length) bring(event.dataTransfer.files[0]);
  });
  document.addEventListener("paste", (event) => {
    const [file] = event.clipboardData.files;
    const text = event.clipboardData.getData("text/plain").trim();
    if (event.target.closest("textarea, input")) return;
    if (file) bring(file);
    else if (text.startsWith("{")) bring(new File([text], "workflow.json", { type: "application/json" }));
  });
}

for (const moment of document.querySelectorAll("[data-moment]")) {
  moment.textContent = new Date(moment.dateTime)
    .toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" });
}

const draft = document.getElementById("draft");

if (draft) {
  let timer, underway;
  const kept = document.getElementById("kept");
  // What was typed outlives a closed tab; the answer is not needed.
  const keep = async () => {
    underway = new AbortController();
    const typed = new FormData(draft);
    for (const [name, value] of [...typed]) if (value instanceof File) typed.delete(name);
    try {
      await fetch(draft.action, { method: "POST", body: typed, redirect: "manual", signal: underway.signal });
      kept.textContent = kept.dataset.kept;
    } catch { kept.textContent = ""; }
  };
  draft.addEventListener("change", () => {
    clearTimeout(timer);
    kept.textContent = "";
    timer = setTimeout(keep, 800);
  });
  draft.addEventListener("submit", () => {
    clearTimeout(timer);
    underway?.abort();
  });
}
