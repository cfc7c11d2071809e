// What the host tells the page, and what the person presses.
const opened = { template: null, values: {}, style: null };
const OWN_TOOLS = ["open_form", "run_template"];
const OTHER_TOOLS = ["get_result", "sweep"];

function describe(title, about) {
  tell("title", title || "");
  tell("about", about);
}

function openForm(template, told) {
  showForm(template, told);
  describe(told.title, told.description);
  byId("editor-title").textContent = say("values");
  byId("editor").open = true;
  if (!host.capabilities.serverTools) tell("note", say("noTools"));
}

/** Asks the server for the form of a template; a page that shows a picture has none until somebody wants it. */
async function loadForm(template, values) {
  const result = await callTool("open_form", { template, values });
  if (result.isError) throw new Error(textOf(result));
  if (!formOf(result)) throw new Error(say("noForm"));
  openForm(result.structuredContent.template.id, formOf(result));
}

/** Some chats hand over the data of an answer and leave out what lies beside it: the page asks once itself. */
async function takeForm(result) {
  const { template, values } = result.structuredContent;
  if (formOf(result)) {
    openForm(template.id, formOf(result));
    return;
  }
  describe(template.title, template.description);
  try {
    await loadForm(template.id, values);
  } catch {
    tell("note", say("noForm"));
  }
}

async function withForm(template, then) {
  try {
    if (!form.template || (template && form.template !== template)) await loadForm(template, {});
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
      fail(say("noPictureField", form.title));
      return;
    }
    fields.tell(field, item.id);
    fields.showPicture(field, item.src || "");
    field.querySelector("[data-chooses]").focus();
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
    await takeForm(result);
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

/** What a chat calls its colours, and what they are called here. */
const THEIRS = {
  "--color-background-primary": ["--surface", "--raised"], "--color-background-secondary": ["--sunken"],
  "--color-text-primary": ["--text"], "--color-text-secondary": ["--faint"], "--color-border-primary": ["--line"],
  "--color-text-danger": ["--bad"], "--color-background-danger": ["--bad-soft"], "--border-radius-md": ["--radius"],
  "--font-sans": ["--font"],
};

function takeContext(context) {
  host.context = { ...host.context, ...context };
  const { theme, styles, locale, safeAreaInsets } = host.context;
  const dark = theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const root = document.documentElement;
  root.dataset.theme = dark ? "dark" : "light";
  for (const [name, value] of Object.entries((styles && styles.variables) || {})) {
    for (const ours of (value && THEIRS[name]) || []) root.style.setProperty(ours, value);
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
