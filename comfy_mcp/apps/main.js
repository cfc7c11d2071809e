// What the host tells the page, and what the person presses.
const opened = { template: null, values: {}, style: null };
const OWN_TOOLS = ["open_form", "run_template"];
const OTHER_TOOLS = ["get_result", "sweep"];

function describe(title, about) {
  tell("title", label(title || ""));
  tell("about", about);
}

function openForm(view) {
  showForm(view);
  describe(view.template.title || view.template.id, view.template.description);
  byId("editor-title").textContent = say("values");
  byId("editor").open = true;
  if (!host.capabilities.serverTools) tell("note", say("noTools"));
}

/** Asks the server for the form of a template; a page that shows a picture has none until somebody wants it. */
async function loadForm(template, values) {
  const result = await callTool("open_form", { template, values });
  const view = result.structuredContent;
  if (result.isError || !view || view.view !== "form") throw new Error(textOf(result));
  openForm(view);
}

async function withForm(template, then) {
  try {
    if (!form.template || (template && form.template.id !== template)) await loadForm(template, {});
    byId("editor").open = true;
    then();
  } catch (failure) {
    fail(failure.message);
  }
}

function makeAgain(item) {
  const style = item.job.style ? { style: item.job.style } : {};
  withForm(item.job.template, () => {
    clearErrors();
    fill({ ...item.job.values, ...style });
    byId("generate").focus();
    speakOut(say("filled", nameOf(item)));
  });
}

function useAsInput(item) {
  // A form that takes no picture gives way to the one that changes pictures.
  const template = form.template && pictureField() ? null : "img2img";
  withForm(template, () => {
    const field = pictureField();
    if (!field) {
      fail(say("noPictureField", form.template.title));
      return;
    }
    setField(field, item.id);
    field.control.focus.focus();
    speakOut(say("asInput", nameOf(item)));
  });
}

/** The page of a picture offers the form folded: opening it asks the server for it. */
function offerForm() {
  if (form.template || !opened.template || !host.capabilities.serverTools) return;
  byId("editor-title").textContent = say("change");
  byId("editor").hidden = false;
}

byId("editor").addEventListener("toggle", () => {
  if (byId("editor").open && !form.template) {
    const style = opened.style ? { style: opened.style } : {};
    const problem = byId("failure").textContent;
    withForm(opened.template, () => {
      fill({ ...opened.values, ...style });
      if (problem) fail(problem);
    });
  }
});

function takeInput({ arguments: given = {} }) {
  const tool = ((host.context.toolInfo || {}).tool || {}).name;
  if (OTHER_TOOLS.includes(tool)) return;
  const nested = OWN_TOOLS.includes(tool) || (given.template && given.values);
  opened.template = given.template || (nested ? null : tool);
  opened.values = (nested ? given.values : given) || {};
  if (tool !== "open_form" && !form.template && !gallery.items.length) {
    begin(say("waiting"));
    tell("about", typeof opened.values.prompt === "string" ? opened.values.prompt : "");
  }
}

async function takeResult(result) {
  const view = result.structuredContent || {};
  if (view.view === "form") {
    end();
    openForm(view);
    return;
  }
  if (view.job) {
    opened.template = view.job.template;
    opened.values = view.job.values;
    opened.style = view.job.style;
    if (!form.template) describe(view.job.template, view.job.values.prompt);
  }
  begin(say("waiting"));
  try {
    const last = await finished(result);
    if (last) showResult(last);
  } catch (failure) {
    fail(failure.message);
  } finally {
    end();
    offerForm();
  }
}

function takeContext(context) {
  host.context = { ...host.context, ...context };
  const { theme, styles, locale, safeAreaInsets } = host.context;
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const root = document.documentElement;
  root.dataset.theme = dark ? "dark" : "light";
  for (const [name, value] of Object.entries((styles && styles.variables) || {})) {
    if (name.startsWith("--") && value) root.style.setProperty(name, value);
  }
  for (const [side, pixels] of Object.entries(safeAreaInsets || {})) root.style.setProperty(`--inset-${side}`, `${pixels}px`);
  speak(locale);
  byId("gallery-title").textContent = say("pictures");
  byId("stop").textContent = say("stop");
  byId("fullscreen").textContent = say("fullscreen");
  const modes = host.context.availableDisplayModes || [];
  byId("fullscreen").hidden = !modes.includes("fullscreen") || host.context.displayMode === "fullscreen";
}

host.on["ui/notifications/tool-input"] = takeInput;
host.on["ui/notifications/tool-result"] = takeResult;
host.on["ui/notifications/tool-cancelled"] = () => {
  end();
  tell("note", say("cancelled"));
  offerForm();
};
host.on["ui/notifications/host-context-changed"] = takeContext;
host.on["ui/resource-teardown"] = () => { run.closed = true; };
host.on.ping = () => {};

byId("form").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) generate();
});
byId("stop").addEventListener("click", stop);
byId("fullscreen").addEventListener("click", () => {
  request("ui/request-display-mode", { mode: "fullscreen" }).catch(() => {});
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => takeContext({}));

takeContext({});
initialize().then(() => {
  takeContext({});
  notify("ui/notifications/initialized");
  reportSize();
});
