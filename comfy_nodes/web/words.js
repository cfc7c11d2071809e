// The words and figures that people read. What is not known is left out, never shown as 0.

/** The states of a cell: a sign, so that colour is never all there is, and words. */
export const STATES = {
  waiting: ["◌", "Waiting"],
  loading: ["◔", "Loading the model"],
  prompt: ["◑", "Reading the prompt"],
  reasoning: ["◕", "Thinking"],
  text: ["✎", "Writing"],
  done: ["✓", "Done"],
  failed: ["✕", "Failed"],
  stopped: ["■", "Stopped"],
};

/** The states of a model on its server. */
export const LOADED = {
  loaded: ["●", "loaded"],
  loading: ["◐", "loading"],
  sleeping: ["◒", "asleep"],
  downloading: ["◔", "downloading"],
  unloaded: ["○", "not loaded"],
  failed: ["✕", "failed"],
};

/** The figures of a cell. `first` is the direction in which a column is sorted at first: the best on top. */
export const METRICS = [
  { key: "ttft", title: "TTFT", help: "Seconds to the first token", first: "ascending", told: ttft },
  { key: "tokens_per_second", title: "Speed", help: "Tokens in a second", first: "descending", told: speed },
  { key: "tokens", title: "Length", help: "Tokens that the model wrote", first: "descending", told: tokens },
];

export const known = (value) => value !== null && value !== undefined;

function ttft(value) {
  return `TTFT\u00a0${value.toFixed(value < 10 ? 2 : 1)}\u00a0s`;
}

function speed(value) {
  return `${value.toFixed(value < 100 ? 1 : 0)}\u00a0tok/s`;
}

function tokens(value) {
  const whole = Math.round(value);
  return `${whole.toLocaleString("en")}\u00a0token${whole === 1 ? "" : "s"}`;
}

/** Bytes, in units of 1000. */
export function size(bytes) {
  const power = Math.min(Math.floor(Math.log10(Math.max(bytes, 1)) / 3), 4);
  return `${(bytes / 1000 ** power).toFixed(power > 1 ? 1 : 0)} ${["B", "kB", "MB", "GB", "TB"][power]}`;
}

export function count(number, one, many = `${one}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}
