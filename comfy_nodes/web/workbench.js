// The extension: which node shows what, and what it is told. All else is in the modules beside it.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { el } from "./elements.js";
import { addChooser, serverNames } from "./models.js";
import { panel } from "./panel.js";
import { ComparisonTable } from "./table.js";
import { Differing, Texts } from "./texts.js";
import { Votes } from "./votes.js";

const WIDE = 640;

const VIEWS = {
  WorkbenchLLMCompare: table,
  WorkbenchResultsTable: table,
  WorkbenchJudge: table,
  WorkbenchVote: votes,
  WorkbenchTextDiff: differing,
  WorkbenchLLMGenerate: texts,
  WorkbenchPromptExpander: texts,
  WorkbenchCaptionImages: texts,
};

/**
 * The views of the nodes, by node: `ended` takes what a node gave at its end, `live` its growing text, and `cells` what
 * changes in a table; `stopped` is called when its graph was stopped or has failed in it.
 */
const views = new WeakMap();

app.registerExtension({
  name: "comfyui-workbench",

  setup() {
    document.head.append(el("link", { rel: "stylesheet", href: new URL("workbench.css", import.meta.url).href }));
    api.addEventListener("comfyui-workbench.cells", ({ detail }) => views.get(found(detail.node))?.cells?.(detail));
    for (const kind of ["execution_interrupted", "execution_error"]) {
      api.addEventListener(kind, ({ detail }) => views.get(found(detail.node_id))?.stopped?.());
    }
    api.addEventListener("comfyui-workbench.text", ({ detail }) => views.get(found(detail.node))?.live?.(detail.text));
  },

  beforeRegisterNodeDef(type, { name }) {
    if (!name.startsWith("Workbench")) return;
    const { onExecuted } = type.prototype;
    type.prototype.onExecuted = function (output) {
      onExecuted?.apply(this, arguments);
      show(this, output ?? {});
    };
  },

  /** ComfyUI has kept what nodes gave, while their graph was made anew: after an undo, or on another tab. */
  onNodeOutputsUpdated(outputs) {
    for (const [id, output] of Object.entries(outputs)) {
      const node = found(id);
      if (node?.comfyClass?.startsWith("Workbench")) show(node, output);
    }
  },

  nodeCreated(node) {
    if (!node.comfyClass?.startsWith("Workbench")) return;
    if (node.comfyClass === "WorkbenchLLMProvider") nameServers(node);
    for (const name of ["model", "judge", "models"]) {
      const widget = node.widgets?.find((each) => each.name === name && typeof each.value === "string");
      if (widget) addChooser(node, widget);
    }
    if (VIEWS[node.comfyClass]) views.set(node, VIEWS[node.comfyClass](node));
  },
});

function show(node, output) {
  if (!views.has(node) && output.text?.length) views.set(node, texts(node));
  const view = views.get(node);
  if (!view || view.output === output) return;
  view.output = output;
  view.ended(output);
}

function table(node) {
  const shown = new ComparisonTable(() => fit());
  const fit = panel(node, shown.element);
  widen(node);
  return {
    cells: (told) => shown.update(told),
    stopped: () => shown.stop(),
    // The cells of LLM Compare tell more than its line of text does.
    live: (text) => node.comfyClass === "WorkbenchJudge" && shown.live(text),
    ended: ({ comparison }) => comparison && shown.show(comparison.at(-1)),
  };
}

function votes(node) {
  const voter = () => node.widgets.find(({ name }) => name === "voter")?.value || "me";
  const shown = new Votes(voter, () => fit());
  const fit = panel(node, shown.element, 520);
  widen(node);
  return { ended: ({ vote }) => vote && shown.show(vote.at(-1).run) };
}

function differing(node) {
  const shown = new Differing(() => fit());
  const fit = panel(node, shown.element, 320);
  return { ended: ({ diff }) => diff && shown.show(diff.at(-1)) };
}

function texts(node) {
  const shown = new Texts(() => fit());
  const fit = panel(node, shown.element, 240);
  return { live: (text) => shown.live(text), ended: ({ text }) => text && shown.show(text) };
}

function widen(node) {
  node.setSize([Math.max(node.size[0], WIDE), node.size[1]]);
}

/** The node that an event names: "5", or "3:5" for one inside of a subgraph. */
function found(id) {
  let graph = app.rootGraph ?? app.graph, node = null;
  for (const part of String(id).split(":")) {
    node = graph?.getNodeById(part);
    graph = node?.subgraph;
  }
  return node;
}

/** Adds the servers that are there now to those that can be chosen. */
async function nameServers(node) {
  const widget = node.widgets?.find(({ name }) => name === "server");
  const names = await serverNames().catch(() => []);
  if (widget) widget.options.values = [...new Set([...widget.options.values, ...names])];
}
