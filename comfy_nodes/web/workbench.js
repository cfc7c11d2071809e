// The extension: which node shows what, and what it is told. All else is in the modules beside it.
import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";
import { el } from "./elements.js";
import { addChooser, serverNames } from "./models.js";
import { growingPanel, panel } from "./panel.js";
import { Several } from "./several.js";
import { ComparisonTable } from "./table.js";
import { Differing, prompted, Texts } from "./texts.js";
import { Votes } from "./votes.js";

const WIDE = 640;

/** The nodes whose next run asks for all their answers anew, and loses the votes on them, if it has another seed. */
const KEEPS = ["WorkbenchLLMCompare", "WorkbenchJudge"];

/** Where a line stands that belongs to no table yet. */
const LINE = "line";

const VIEWS = {
  WorkbenchLLMCompare: table,
  WorkbenchResultsTable: table,
  WorkbenchJudge: table,
  WorkbenchVote: votes,
  WorkbenchTextDiff: differing,
  WorkbenchLLMGenerate: texts,
  WorkbenchPromptExpander: (node) => texts(node, prompted),
  WorkbenchCaptionImages: texts,
};

/**
 * The views of the nodes, by node: `ended` takes what a node gave at its end, `live` its growing text, and `cells` what
 * changes in a table; `anew` is called before the first of these in each run of the graph, `stopped` when the graph has
 * ended before the node.
 */
const views = new WeakMap();

/** The views that were told something, and not yet how it ended. */
const growing = new Set();

/** The run of the graph: null when the page has not seen it start. */
let prompt = null;
let over = false;

app.registerExtension({
  name: "comfyui-workbench",

  setup() {
    document.head.append(el("link", { rel: "stylesheet", href: new URL("workbench.css", import.meta.url).href }));
    api.addEventListener("comfyui-workbench.cells", ({ detail }) => grow(detail.node, "cells", detail));
    api.addEventListener("comfyui-workbench.text", ({ detail }) => grow(detail.node, "live", detail.text));
    api.addEventListener("execution_start", ({ detail }) => {
      stop();
      prompt = detail.prompt_id;
      over = false;
    });
    // ComfyUI tells everybody when somebody's graph is interrupted, and of one node of it only.
    const ours = ({ prompt_id }) => prompt === null || prompt_id === prompt;
    api.addEventListener("execution_interrupted", ({ detail }) => ours(detail) && stop());
    api.addEventListener("execution_error", ({ detail }) => ours(detail) && stop(found(detail.node_id)));
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
    if (KEEPS.includes(node.comfyClass)) keepSeed(node);
    for (const name of ["model", "judge", "models"]) {
      const widget = node.widgets?.find((each) => each.name === name && typeof each.value === "string");
      if (widget) addChooser(node, widget);
    }
    if (VIEWS[node.comfyClass]) views.set(node, VIEWS[node.comfyClass](node));
  },
});

function show(node, output) {
  if (!views.has(node) && output.text?.length) views.set(node, notes(node));
  const view = views.get(node);
  if (!view || view.output === output) return;
  view.output = output;
  growing.delete(view);
  view.ended(output);
}

function grow(id, kind, told) {
  const view = views.get(found(id));
  // What was stopped may still tell of its end.
  if (over || !view?.[kind]) return;
  if (view.prompt !== prompt) view.anew?.();
  view.prompt = prompt;
  growing.add(view);
  view[kind](told);
}

/** The graph has ended, where `failed` is a node because of that one. */
function stop(failed = null) {
  over = true;
  const view = views.get(failed);
  view?.stopped?.("failed");
  growing.delete(view);
  for (const each of growing) each.stopped?.("stopped");
  growing.clear();
}

function table(node) {
  const shown = new Several("Comparison", () => new ComparisonTable());
  widen(node);
  panel(node, shown.element, 420);
  return {
    anew: () => shown.anew(),
    cells: (told) => shown.of(told.run).update(told),
    stopped: () => shown.views.forEach((each) => each.stop()),
    // The cells of LLM Compare tell more than its line of text does.
    live: (text) => node.comfyClass === "WorkbenchJudge" && shown.of(LINE).live(text),
    ended: ({ comparison }) => {
      const each = comparison && shown.all(comparison.map(({ run }) => run));
      each?.forEach((one, at) => one.show(comparison[at]));
    },
  };
}

function votes(node) {
  const voter = () => node.widgets.find(({ name }) => name === "voter")?.value || "me";
  const shown = new Several("Vote", () => new Votes(voter));
  widen(node);
  panel(node, shown.element, 420);
  return {
    ended: ({ vote }) => vote && shown.all(vote.map(({ run }) => run)).forEach((each, at) => each.show(vote[at].run)),
  };
}

function differing(node) {
  const shown = new Several("Text", () => new Differing());
  panel(node, shown.element, 240);
  return { ended: ({ diff }) => diff && shown.all([...diff.keys()]).forEach((each, at) => each.show(diff[at])) };
}

/** `read` makes of a growing text what people read. */
function texts(node, read = (text) => text) {
  const shown = new Texts(() => fit());
  const fit = growingPanel(node, shown.element);
  return {
    live: (text) => shown.live(read(text)),
    stopped: (state) => shown.stop(state),
    ended: ({ text, facts }) => text && shown.show(text, facts),
  };
}

/** What a node that shows nothing else has to tell. */
function notes(node) {
  const shown = new Texts(() => fit());
  const fit = growingPanel(node, shown.element, { snug: true });
  // The notes on pictures are on all of them, and not one on each.
  const read = (text) => (node.comfyClass === "WorkbenchResultsImage" ? [text.join("\n")] : text);
  return { ended: ({ text }) => text && shown.show(read(text)) };
}

/** Lets a new node have the same seed in each run; a saved one gets its own choice after this. */
function keepSeed(node) {
  const control = node.widgets.find(({ name }) => name === "seed")?.linkedWidgets?.[0];
  if (control) control.value = "fixed";
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
