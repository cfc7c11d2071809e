// Blind votes: one ballot after the other, its answers under letters. Who wrote them is only asked after the vote.
import { ask, button, el, region, setText, written } from "./elements.js";
import { ranking } from "./ranking.js";

const EMPTY =
  "Run the graph: then the answers come here one prompt at a time, without the names of their models, and you say " +
  "which is best.";

export class Votes {
  /** `voter` tells who votes. */
  constructor(voter) {
    this.voter = voter;
    this.ballots = [];
    this.status = el("output", { className: "wb-status", hidden: true });
    this.error = el("p", { className: "wb-error", role: "alert", hidden: true });
    this.body = region("Ballot", el("p", { className: "wb-quiet wb-empty" }, EMPTY));
    this.acts = el("div", { className: "wb-bar", hidden: true });
    this.element = el("div", { className: "wb-votes" }, this.status, this.body, this.error, this.acts);
    this.element.addEventListener("keydown", (event) => this.key(event));
  }

  /** The ballots of a run. */
  async show(run) {
    this.run = run;
    // Ballots are somebody's: their letters are others for each voter.
    this.by = this.voter();
    await this.load(0);
  }

  /** The next few ballots to vote on, after the one of this number: all cannot be kept of a large comparison. */
  async load(after, focus = false) {
    const loading = (this.loading = {});
    await this.trying(async () => {
      const query = new URLSearchParams({ run: this.run, voter: this.by, after });
      const { ballots, total, left, ranking: ranks } = await ask(`ballots?${query}`);
      if (this.loading !== loading) return;
      Object.assign(this, { ballots, total, left });
      const ballot = ballots.shift();
      if (ballot) this.ask(ballot);
      else this.end(ranks);
      if (focus) this.acts.querySelector("button")?.focus();
    });
  }

  async next() {
    const ballot = this.ballots.shift();
    if (!ballot) return this.load(this.ballot.number, true);
    this.ask(ballot);
    this.acts.querySelector("button").focus();
  }

  ask(ballot) {
    this.ballot = ballot;
    setText(this.status, `Ballot ${ballot.number} of ${this.total}`);
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
      ["Skip", () => this.next(), "S"],
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
      this.left -= 1;
      this.reveal(models, best);
    });
    this.busy = false;
  }

  reveal(models, best) {
    for (const [label, name] of this.names) setText(name, ` is ${models[label]}`);
    this.body.querySelector(`[data-label="${best}"]`)?.classList.add("wb-best");
    const told = best === "tie" ? "A tie" : `${best} is best, which is ${models[best]}`;
    setText(this.status, `${this.status.textContent}: ${told}`);
    this.offer([[this.left ? "Next" : "Show the ranking", () => this.next(), "N"]]);
    this.acts.querySelector("button").focus();
  }

  end(ranks) {
    const { total, left } = this;
    const skipped = `${total - left} of ${total} voted, ${left} skipped`;
    const nothing = "Nothing to vote on: a ballot needs the answers of two models.";
    setText(this.status, total ? (left ? skipped : `All ${total} voted`) : nothing);
    this.body.replaceChildren(el("div", {}, ranking(ranks) ?? ""));
    this.offer(left ? [["Vote on the skipped ones", () => this.load(0, true)]] : []);
  }

  /** Shows what goes wrong in its place; the next attempt takes it away. */
  async trying(work) {
    setText(this.error, "");
    try {
      await work();
    } catch (failure) {
      setText(this.error, failure.message);
    }
  }
}
