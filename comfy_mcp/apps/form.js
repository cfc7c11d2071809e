// The form of one template: its markup comes from the server beside an answer, its controls are those of fields.js.
const FORM = "comfyui-workbench/form";
const MOST_SIDE = 1536;
const form = { template: null, title: "", pictures: new Map() };

const formOf = (result) => ((result._meta || {})[FORM] || {})[language];
const fieldNamed = (name) => fields.named(byId("form"), name);
const pictureField = () => byId("form").querySelector("[data-type=image]:not([data-kind=locked])");

/** The markup is made by our own server of escaped texts; parsed this way, no script in it would run all the same. */
function showForm(template, told) {
  form.template = template;
  form.title = told.title;
  form.pictures = new Map();
  const parsed = new DOMParser().parseFromString(told.fields, "text/html");
  byId("form").replaceChildren(
    ...parsed.body.children,
    element("div", { class: "line" }, button(say("generate"), generate, { id: "generate", class: "primary" })),
  );
  byId("editor").hidden = false;
}

function fill(values) {
  for (const [name, value] of Object.entries(values)) {
    const field = fieldNamed(name);
    if (field && !blank(value)) fields.tell(field, name === "seed" && value === -1 ? "" : String(value));
  }
}

function suggestSeed(seed) {
  const field = fieldNamed("seed");
  if (field && !blank(seed)) fields.suggest(field, String(seed));
}

/** What the person set; the rest is left to the template and the style. Gives null when a field holds no number. */
function chosen() {
  const values = {};
  for (const [name, text] of fields.posted(byId("form"))) {
    const field = fieldNamed(name);
    const value = typed(field, text);
    if (Number.isNaN(value)) {
      refuse(name, byId("form").querySelector(".fields").dataset.notNumber);
      return null;
    }
    if (value !== undefined) values[name] = value;
  }
  return values;
}

function typed(field, text) {
  const { type } = field.dataset;
  if (field.querySelector(":invalid[type=number]") && !text) return NaN;
  if (type === "text") return text;
  if (text === "") return undefined;
  if (type === "bool") return text === "true";
  if (!["int", "float", "seed"].includes(type)) return text;
  const value = Number(text);
  // JavaScript would round it; the server takes the text.
  return Number.isInteger(value) && !Number.isSafeInteger(value) ? text : value;
}

/** The values as a tool takes them: with the bytes of pictures that were chosen here. */
function sendable(values) {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, form.pictures.get(value) ?? value]));
}

function refuse(name, text) {
  byId("editor").open = true;
  fields.showErrors({ [name]: text }, byId("form"));
}

/** Shows an error at the field that it names; false when it names none. */
function refuseNamed(text, parameter) {
  const said = text.replace(/^Error:\s*/, "");
  const name = parameter || (/^[\w-]+/.exec(said) || [""])[0];
  const field = fieldNamed(name);
  if (field) refuse(name, said);
  return Boolean(field);
}

function clearErrors() {
  fields.clearErrors(byId("form"));
}

/** Nothing can be uploaded from here: a picture travels inside the call, made small enough for it. */
fields.upload = async (file, type) => {
  const bitmap = await createImageBitmap(file);
  const share = Math.min(1, MOST_SIDE / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * share)));
  const canvas = element("canvas", { width, height });
  canvas.getContext("2d").drawImage(bitmap, 0, 0, width, height);
  const url = canvas.toDataURL(type === "mask" ? "image/png" : "image/webp", 0.9);
  form.pictures.set(file.name, url.slice(url.indexOf(",") + 1));
  return { id: file.name, url };
};
