// The form of one template: fields in groups, what the person changed in them, and errors beside them.
const form = { template: null, styles: [], fields: new Map() };

function makeField(told) {
  const id = `field-${told.name}`;
  const made = control(told, id);
  const name = label(told.label);
  const reset = iconButton("reset", say("reset", name), () => setField(field, undefined), { hidden: true });
  const error = element("p", { id: `${id}-error`, class: "error", hidden: true });
  const field = { told, control: made, reset, error, touched: false };
  const heading = element("div", { class: "heading" }, element("label", { for: id }, name, mark(told)), reset);
  const help = element("p", { id: `${id}-help`, class: "help" }, helpFor(told));
  const check = told.type === "bool";
  const wide = told.type === "text" || told.type === "image" || told.type === "mask";
  made.focus.setAttribute("aria-describedby", `${id}-help ${id}-error`);
  if (told.required) made.focus.setAttribute("aria-required", "true");
  field.node = element(
    "div", { class: `field ${check ? "check" : ""} ${wide ? "wide" : ""}`, "data-name": told.name },
    heading, made.node, help, error,
  );
  made.set(told.default);
  for (const happened of ["input", "change"]) made.node.addEventListener(happened, () => touch(field));
  return field;
}

function mark(told) {
  return told.required ? element("span", { class: "required", "aria-hidden": "true" }, " *") : null;
}

function helpFor(told) {
  const listed = told.type === "seed" || told.type === "text" || told.type === "bool";
  const standard = listed || blank(told.default) ? "" : say("standard", told.default);
  return [told.help, standard].filter(Boolean).join(" ");
}

function touch(field) {
  const value = field.control.get();
  field.touched = true;
  field.reset.hidden = field.told.type === "seed" || value === (field.told.default ?? undefined);
  showError(field, "");
}

/** Puts a value into a field; undefined gives it back its default. */
function setField(field, value) {
  field.control.set(value === undefined ? field.told.default : value);
  touch(field);
  field.touched = value !== undefined;
  if (value === undefined) field.control.focus.focus();
}

function showError(field, text) {
  field.error.textContent = text;
  field.error.hidden = !text;
  field.node.classList.toggle("refused", Boolean(text));
  if (text) field.control.focus.setAttribute("aria-invalid", "true");
  else field.control.focus.removeAttribute("aria-invalid");
}

/** The style as one more parameter: the server takes it among the values. */
function styleParameter() {
  const titles = Object.fromEntries(form.styles.map((style) => [style.id, style.title]));
  return {
    name: "style", type: "enum", label: "Style", help: say("styleHelp"), group: "", advanced: false, required: false,
    default: null, choices: form.styles.map((style) => style.id), titles, blank: say("none"),
  };
}

function showForm(view) {
  form.template = view.template;
  form.styles = view.styles || [];
  form.fields = new Map();
  const parameters = [...view.template.parameters];
  if (view.template.style && form.styles.length) {
    const place = parameters.findIndex((told) => told.group || told.advanced);
    parameters.splice(place < 0 ? parameters.length : place, 0, styleParameter());
  }
  for (const told of parameters) form.fields.set(told.name, makeField(told));
  const shown = parameters.filter((told) => !told.advanced);
  const folded = parameters.filter((told) => told.advanced);
  byId("form").replaceChildren(
    ...grouped(shown),
    folded.length ? element("details", { class: "advanced" }, element("summary", {}, say("advanced")), grid(folded)) : "",
    element("div", { class: "line" }, button(say("generate"), generate, { id: "generate", class: null })),
  );
  byId("editor").hidden = false;
  fill(view.values || {});
}

function grouped(parameters) {
  const groups = new Map();
  for (const told of parameters) groups.set(told.group || "", [...(groups.get(told.group || "") || []), told]);
  return [...groups].map(([name, members]) => element(
    "fieldset", {}, element("legend", { class: name ? "" : "unseen" }, name ? label(name) : say("general")), grid(members),
  ));
}

function grid(parameters) {
  return element("div", { class: "grid" }, ...parameters.map((told) => form.fields.get(told.name).node));
}

function fill(values) {
  for (const [name, value] of Object.entries(values)) {
    const field = form.fields.get(name);
    if (field && value !== undefined) setField(field, value);
  }
}

/** What the person set; the rest is left to the template and the style. Gives null when a field holds no number. */
function chosen() {
  const values = {};
  for (const field of form.fields.values()) {
    const value = field.control.get();
    if (Number.isNaN(value)) {
      refuse(field, say("notNumber"));
      return null;
    }
    if (field.told.type === "seed") values[field.told.name] = value === undefined ? -1 : value;
    else if (field.touched && value !== undefined) values[field.told.name] = value;
    else if (field.touched && field.told.type === "text") values[field.told.name] = "";
  }
  return values;
}

function refuse(field, text) {
  showError(field, text);
  const fold = field.node.closest("details.advanced");
  if (fold) fold.open = true;
  byId("editor").open = true;
  field.control.focus.focus();
}

/** Shows an error at the field that it names; false when it names none. */
function refuseNamed(text, parameter) {
  const said = text.replace(/^Error:\s*/, "");
  const name = parameter || (/^[\w-]+/.exec(said) || [""])[0];
  const field = form.fields.get(name);
  if (field) refuse(field, said);
  return Boolean(field);
}

function clearErrors() {
  for (const field of form.fields.values()) showError(field, "");
}

function pictureField() {
  return [...form.fields.values()].find((field) => field.told.type === "image");
}
