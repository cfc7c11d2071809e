// Blind votes: one ballot after the other, its answers under letters. Who wrote them is only asked after the vote.
import { ask, button, el, region, setText, written } from "./elements.js";
import { ranking } from "./ranking.js";

const EMPTY =
  "Run the graph: then the answers come here one prompt at a time, without the names of their models, and you say " +
  "which is best.";

export class Votes {
  /** `voter` tells who votes, `changed` is called when there is something else to show. */
  constructor(voter, changed = () => {}) {
    this.voter = voter;
    this.changed = changed;
    this.skipped = new Set();
    this.status = el("output", { className: "wb-status", hidden: true });
    this.error = el("p", { className: "wb-error", role: "alert", hidden: true });
    this.body = region("Ballot", el("p", { className: "wb-quiet wb-empty" }, EMPTY));
    this.acts = el("div", { className: "wb-bar", hidden: true });
    this.element = el("div", { className: "wb-votes" }, this.status, this.body, this.error, this.acts);
    this.element.addEventListener("keydown", (event) => this.key(event));
  }

  /** The ballots of a run. */
  async show(run) {
    if (run !== this.run) this.skipped.clear();
    this.run = run;
    // Ballots are somebody's: their letters are others for each voter.
    this.by = this.voter();
    await this.load();
  }

  async load() {
    await this.trying(async () => {
      const query = new URLSearchParams({ run: this.run, voter: this.by });
      const { ballots, ranking: ranks } = await ask(`ballots?${query}`);
      this.ballots = ballots;
      this.ranks = ranks;
      this.next();
    });
  }

  next(focus = false) {
    const left = this.ballots.filter(({ voted }) => !voted);
    const ballot = left.find(({ id }) => !this.skipped.has(id));
    if (ballot) this.ask(ballot);
    else this.end(left);
    if (focus) this.acts.querySelector("button")?.focus();
    this.changed();
  }

  ask(ballot) {
    this.ballot = ballot;
    const at = this.ballots.indexOf(ballot) + 1;
    setText(this.status, `Ballot ${at} of ${this.ballots.length}`);
    const more = [ballot.variant, ballot.repeat ? `repeat ${ballot.repeat + 1}` : ""].filter(Boolean).join(" · ");
    this.names = new Map();
    const choices = ballot.choices.map(({ label, text }) => {
      const name = el("span", { className: "wb-quiet", hidden: true });
      this.names.set(label, name);
      const head = el("h4", {}, `Answer ${label}`, name);
      return el("article", { data: { label } }, head, written(text));
    });
    const asked = [el("h3", { dir: "auto" }, ballot.prompt), written(ballot.text, "wb-text wb-quiet")];
    const parts = ballot.text === ballot.prompt ? asked.slice(1) : asked;
    const answers = el("div", { className: "wb-answers" }, ...choices);
    this.body.replaceChildren(el("div", {}, ...parts, more ? el("p", { className: "wb-quiet" }, more) : "", answers));
    this.body.scrollTop = 0;
    this.offer([
      ...ballot.choices.map(({ label }) => [`${label} is best`, () => this.vote(label), label]),
      ["Tie", () => this.vote("tie"), "T"],
      ["Skip", () => this.skip(), "S"],
    ]);
  }

  offer(acts) {
    this.acts.hidden = false;
    // A letter that an answer has is not also that of Tie or Skip.
    this.keys = new Map([...acts].reverse().map(([, act, key]) => [key?.toLowerCase(), act]));
    this.acts.replaceChildren(...acts.map(([text, act, key]) => {
      const made = button(text, act);
      if (key) made.setAttribute("aria-keyshortcuts", key);
      return made;
    }));
  }

  key(event) {
    const act = this.keys?.get(event.key.toLowerCase());
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
  }

  async vote(best) {
    const { ballot } = this;
    if (this.busy) return;
    this.busy = true;
    await this.trying(async () => {
      const said = { run: this.run, voter: this.by, ballot: ballot.id, best };
      const { models } = await ask("ballots", said);
      ballot.voted = true;
      this.reveal(models, best);
    });
    this.busy = false;
  }

  reveal(models, best) {
    for (const [label, name] of this.names) setText(name, ` is ${models[label]}`);
    this.body.querySelector(`[data-label="${best}"]`)?.classList.add("wb-best");
    const told = best === "tie" ? "A tie" : `${best} is best, which is ${models[best]}`;
    setText(this.status, `${this.status.textContent}: ${told}`);
    const last = this.ballots.every(({ voted }) => voted);
    this.offer([[last ? "Show the ranking" : "Next", () => (last ? this.load() : this.next(true)), "N"]]);
    this.acts.querySelector("button").focus();
    this.changed();
  }

  skip() {
    this.skipped.add(this.ballot.id);
    this.next(true);
  }

  end(left) {
    const all = this.ballots.length;
    const skipped = `${all - left.length} of ${all} voted, ${left.length} skipped`;
    const nothing = "Nothing to vote on: a ballot needs the answers of two models.";
    setText(this.status, all ? (left.length ? skipped : `All ${all} voted`) : nothing);
    this.body.replaceChildren(el("div", {}, ranking(this.ranks) ?? ""));
    const again = () => {
      this.skipped.clear();
      this.next(true);
    };
    this.offer(left.length ? [["Vote on the skipped ones", again]] : []);
  }

  /** Shows what goes wrong in its place; the next attempt takes it away. */
  async trying(work) {
    setText(this.error, "");
    try {
      await work();
    } catch (failure) {
      setText(this.error, failure.message);
      this.changed();
    }
  }
}
