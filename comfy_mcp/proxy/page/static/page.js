// What every section needs: refusals are shown where people look, copied text is copied, and dialogs open and close.
const told = document.getElementById("told");

function tell(html) {
  told.innerHTML = html;
  clearTimeout(tell.timer);
  tell.timer = setTimeout(() => told.replaceChildren(), 12000);
}

// A refusal comes as a piece of the page: it is shown beside whatever asked, which stays as it is.
document.addEventListener("htmx:beforeSwap", ({ detail }) => {
  if (detail.xhr.status < 400) return;
  detail.shouldSwap = false;
  if (detail.xhr.status === 401) location.reload();
  else if (detail.xhr.getResponseHeader("content-type")?.startsWith("text/html")) tell(detail.xhr.response);
});
document.addEventListener("htmx:sendError", () => tell(document.getElementById("gone").innerHTML));

// Browsers give pages without HTTPS from another machine no clipboard, but copy what is selected.
async function copied(from) {
  if (navigator.clipboard) return navigator.clipboard.writeText("value" in from ? from.value : from.textContent);
  if ("select" in from) from.select();
  else getSelection().selectAllChildren(from);
  document.execCommand("copy");
}

document.addEventListener("click", async ({ target }) => {
  const copy = target.closest("[data-copy]");
  if (copy) {
    await copied(document.getElementById(copy.dataset.copy));
    const was = (copy.dataset.was ??= copy.innerHTML);
    copy.textContent = copy.dataset.done;
    setTimeout(() => { copy.innerHTML = was; }, 1500);
  }
  const opens = target.closest("[data-opens]");
  if (opens) document.getElementById(opens.dataset.opens).showModal();
  if (target.closest("[data-closes]")) target.closest("dialog").close();
  if (target.closest("#told [data-closes-told]")) told.replaceChildren();
});
