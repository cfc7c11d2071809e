// The views of a node that runs once for each item of a list: one of them is shown, the newest or whichever is chosen.
import { el } from "./elements.js";

export class Several {
  /** `word` is what people call one of them, and `make` makes one. */
  constructor(word, make) {
    Object.assign(this, { word, make, items: [], stale: false, chosen: false });
    const choose = () => {
      this.chosen = true;
      this.choose(this.items[this.select.selectedIndex]);
    };
    this.select = el("select", { onchange: choose, aria: { label: `${word} of the list` } });
    this.bar = el("div", { className: "wb-bar", hidden: true }, this.select);
    this.current = { key: null, view: make() };
    this.spare = [this.current];
    this.element = el("div", { className: "wb-several" }, this.bar, this.current.view.element);
  }

  get views() {
    return this.items.map(({ view }) => view);
  }

  /** The list begins anew. What there is stays in sight until the first of the new ones comes. */
  anew() {
    this.stale = true;
  }

  /** The view of the item `key`. */
  of(key) {
    if (this.stale) this.empty();
    let item = this.items.find((each) => each.key === key);
    if (!item) {
      this.items.push((item = this.known(key) ?? this.next(key)));
      this.choose(this.chosen ? this.current : item);
    }
    return item.view;
  }

  /** The views of exactly these items, in their order; an item may be there more than once. */
  all(keys) {
    this.empty();
    const known = keys.map((key) => this.known(key));
    this.items = keys.map((key, at) => known[at] ?? this.next(key));
    this.spare = this.items.length ? [] : [this.current];
    this.choose(this.items.includes(this.current) ? this.current : this.items[0] ?? this.current);
    return this.views;
  }

  empty() {
    this.spare.unshift(...this.items.splice(0));
    this.stale = this.chosen = false;
  }

  known(key) {
    const at = this.spare.findIndex((each) => each.key === key);
    return at < 0 ? null : this.spare.splice(at, 1)[0];
  }

  next(key) {
    return Object.assign(this.spare.shift() ?? { view: this.make() }, { key });
  }

  choose(item) {
    // An element that takes its own place would lose the focus.
    if (item !== this.current) this.current.view.element.replaceWith(item.view.element);
    this.current = item;
    this.bar.hidden = this.items.length < 2;
    this.select.replaceChildren(...this.items.map((_, at) => el("option", {}, `${this.word} ${at + 1}`)));
    this.select.selectedIndex = this.items.indexOf(item);
  }
}
