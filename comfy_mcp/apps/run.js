// One job at a time: it is started, followed with its progress, and ends in pictures or in an error.
const POLL = 1000;
const SPOKEN_EVERY = 0.25;
const run = { busy: false, job: null, spoken: 0, closed: false };

const isActive = (job) => job.state === "queued" || job.state === "running";
const textOf = (result) => (result.content || []).filter((part) => part.type === "text").map((part) => part.text).join("\n");
const picturesOf = (result) => (result.content || []).filter((part) => part.type === "image");
const jobOf = (result) => (result.structuredContent || {}).job;

async function generate() {
  if (run.busy || !form.template) return;
  clearErrors();
  const values = chosen();
  if (!values) return;
  begin(say("starting"));
  try {
    // Not waiting for the job here is what lets the page show how far it is.
    let result = await callTool("run_template", { template: form.template, values: sendable(values), wait: 0 });
    result = await finished(result);
    const job = result && showResult(result);
    if (job) tellModel(job, values);
  } catch (failure) {
    fail(failure.message);
  } finally {
    end();
  }
}

/** Follows the job that a result is about until it has ended; gives the result that tells of the end. */
async function finished(result) {
  let job = jobOf(result);
  let silent = false;
  while (job && isActive(job) && !run.closed) {
    progress(job);
    await pause(POLL);
    if (!silent) {
      try {
        job = JSON.parse((await readResource(`job://${job.id}`)).text);
        if (isActive(job)) continue;
      } catch {
        silent = true;
        tell("note", say("noFollow"));
      }
    }
    result = await callTool("get_result", { job_id: job.id });
    job = jobOf(result);
  }
  return run.closed ? null : result;
}

function begin(text) {
  run.busy = true;
  run.job = null;
  run.spoken = 0;
  tell("failure", "");
  tell("note", "");
  byId("run").hidden = false;
  byId("stop").hidden = true;
  byId("progress").removeAttribute("value");
  byId("progress").setAttribute("aria-label", text);
  byId("progress-text").textContent = text;
  const start = byId("generate");
  if (start) start.setAttribute("aria-disabled", "true");
  speakOut(text);
}

function end() {
  run.busy = false;
  run.job = null;
  byId("run").hidden = true;
  const start = byId("generate");
  if (start) start.removeAttribute("aria-disabled");
}

function progress(job) {
  const { fraction = 0, value = 0, maximum = 0 } = job.progress || {};
  run.job = job.id;
  byId("stop").hidden = false;
  const stepped = maximum > 1 ? say("step", value, maximum) : say("running");
  const text = job.state === "queued" ? say("queued") : `${Math.round(fraction * 100)} % · ${stepped}`;
  byId("progress-text").textContent = text;
  if (job.state === "queued") byId("progress").removeAttribute("value");
  else byId("progress").value = clamp(fraction, 0, 1);
  // A reader of the screen is told four times, not every second.
  if (fraction >= run.spoken + SPOKEN_EVERY) {
    run.spoken = fraction;
    speakOut(text);
  }
}

async function stop() {
  if (!run.job) return;
  byId("stop").hidden = true;
  try {
    await callTool("cancel_job", { job_id: run.job });
  } catch (failure) {
    fail(failure.message);
  }
}

function fail(text, parameter) {
  const named = form.template && refuseNamed(text, parameter);
  tell("failure", named ? "" : text.replace(/^Error:\s*/, ""));
  if (named) speakOut(text.replace(/^Error:\s*/, ""));
}

/** Shows what an answer holds; gives its job when it made something. */
function showResult(result) {
  const job = jobOf(result) || strangeJob(result);
  if (job.state === "cancelled") {
    tell("note", say("cancelled"));
    return null;
  }
  if (result.isError || job.error) {
    fail(textOf(result) || job.error.message, job.error && (job.error.details || {}).parameter);
    return null;
  }
  const fresh = addPictures(job, picturesOf(result));
  if (form.template && form.template === job.template) suggestSeed(job.values.seed);
  speakOut(say("done", fresh));
  return job;
}

/** Some chats hand over the text and the pictures only: they are shown all the same. */
function strangeJob(result) {
  const blocks = picturesOf(result);
  if (!blocks.length && !result.isError) tell("note", textOf(result));
  const id = (/\bjob (\S+)/.exec(textOf(result)) || [])[1] || "";
  const pictures = blocks.map((block, place) => ({ id: id || `picture ${place + 1}`, mime: block.mimeType }));
  return { id, template: null, state: "succeeded", values: {}, pictures };
}

function tellModel(job, values) {
  if (!host.capabilities.updateModelContext) return;
  const told = Object.entries(values).map(([name, value]) => `${name} ${value}`).join(", ");
  const text = `In the form the person made ${job.template} with ${told || "the defaults"}: job ${job.id}.`;
  request("ui/update-model-context", { content: [{ type: "text", text }] }).catch(() => {});
}
