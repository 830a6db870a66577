// A grid of thumbnails of any length: only those that can be seen are in the page.
import { h } from "./dom.js";
import { REJECTED, model } from "./model.js";

const GAP = 6;
const AROUND = 2; // rows above and below what can be seen
const SIZES = [96, 136, 190, 260];

export class Grid extends EventTarget {
  /** @param {HTMLElement} box @param {string} label */
  constructor(box, label) {
    super();
    this.box = box;
    /** @type {number[]} */
    this.items = [];
    /** @type {Set<number>} */
    this.selected = new Set();
    this.at = 0;
    this.size = 1;
    this.showGuess = false;
    this.empty = "";
    this._from = 0; // where a range began
    /** @type {Map<number, HTMLElement>} */
    this._cells = new Map();
    this._room = h("div", { className: "room" });
    box.append(this._room);
    box.tabIndex = 0;
    box.setAttribute("role", "listbox");
    box.setAttribute("aria-multiselectable", "true");
    box.setAttribute("aria-label", label);
    box.addEventListener("scroll", () => this._later());
    new ResizeObserver(() => this._lay()).observe(box);
    box.addEventListener("click", (event) => this._click(event));
    box.addEventListener("dblclick", () => this._tell("zoom"));
    box.addEventListener("pointerdown", (event) => this._press(event));
    for (const what of ["pointerup", "pointercancel", "pointerleave", "scroll"]) {
      box.addEventListener(what, () => clearTimeout(this._held));
    }
    model.addEventListener("names", () => this._each((cell, i) => this._label(cell, i)));
  }

  /** @param {number[]} items @param {boolean} keep the place and what is selected */
  show(items, keep = false) {
    const before = this.items[this.at];
    this.items = items;
    const there = new Set(items);
    this.selected = new Set(keep ? [...this.selected].filter((i) => there.has(i)) : []);
    const at = keep ? items.indexOf(before) : 0;
    this.at = at >= 0 ? at : Math.min(this.at, Math.max(0, items.length - 1));
    this._from = this.at;
    for (const cell of this._cells.values()) drop(cell);
    this._cells.clear();
    if (!keep) this.box.scrollTop = 0;
    this._lay();
  }

  /** Draws anew what is said of the items that can be seen. */
  refresh() {
    this._each((cell, i) => this._mark(cell, i));
    this._focus();
  }

  /** What an answer is about: what is selected, or else where the focus is. */
  targets() {
    if (this.selected.size) return this.items.filter((i) => this.selected.has(i));
    return this.items.length ? [this.items[this.at]] : [];
  }

  clear() {
    this.selected.clear();
    this.refresh();
    this._tell("selection");
  }

  all() {
    this.selected = new Set(this.items);
    this.refresh();
    this._tell("selection");
  }

  toggle() {
    const item = this.items[this.at];
    if (item === undefined) return;
    if (!this.selected.delete(item)) this.selected.add(item);
    this._from = this.at;
    this.refresh();
    this._tell("selection");
  }

  /** @param {number} at @param {boolean} range select from where the range began */
  go(at, range = false) {
    if (!this.items.length) return;
    this.at = Math.max(0, Math.min(this.items.length - 1, at));
    if (range) {
      const [a, b] = [Math.min(this._from, this.at), Math.max(this._from, this.at)];
      this.selected = new Set(this.items.slice(a, b + 1));
      this._tell("selection");
    } else {
      this._from = this.at;
    }
    this._see();
    this._draw();
    this.refresh();
  }

  /** @param {number} by 1: larger, -1: smaller */
  resize(by) {
    this.size = Math.max(0, Math.min(SIZES.length - 1, this.size + by));
    this._lay();
    this._see();
  }

  /** Handles a key; false for one that is not the grid's. @param {KeyboardEvent} event */
  key(event) {
    const page = this.columns * Math.max(1, Math.floor(this.box.clientHeight / this.high));
    const ways = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns,
      PageUp: -page, PageDown: page, Home: -Infinity, End: Infinity,
    };
    if (event.key in ways && !event.altKey && !event.ctrlKey && !event.metaKey) {
      let to = this.at + ways[event.key];
      if (event.key === "ArrowDown" && to >= this.items.length) to = this.items.length - 1;
      if (event.key === "ArrowUp" && to < 0) to = this.at;
      this.go(to, event.shiftKey);
    } else if (event.key === " ") {
      this.toggle();
    } else if (event.key === "+" || event.key === "=") {
      this.resize(1);
    } else if (event.key === "-") {
      this.resize(-1);
    } else {
      return false;
    }
    return true;
  }

  get high() {
    return Math.round(this.wide * 0.75) + GAP;
  }

  _lay() {
    const width = this.box.clientWidth - 12;
    if (width <= 0) return;
    this.columns = Math.max(2, Math.floor((width + GAP) / (SIZES[this.size] + GAP)));
    this.wide = Math.floor((width + GAP) / this.columns) - GAP;
    const rows = Math.ceil(this.items.length / this.columns);
    this._room.style.height = `${rows * this.high + 8}px`;
    for (const cell of this._cells.values()) drop(cell);
    this._cells.clear();
    // A list without any entry is none for those who hear the page.
    this.box.setAttribute("role", this.items.length ? "listbox" : "region");
    if (!this.items.length) {
      this._room.replaceChildren(h("p", { className: "empty" }, this.empty));
      this.box.removeAttribute("aria-activedescendant");
      return;
    }
    this._room.replaceChildren();
    this._draw();
    this._focus();
  }

  _later() {
    if (this._asked) return;
    this._asked = true;
    requestAnimationFrame(() => {
      this._asked = false;
      this._draw();
      this._focus();
    });
  }

  _draw() {
    if (!this.columns || !this.items.length) return;
    const top = Math.floor(this.box.scrollTop / this.high) - AROUND;
    const seen = Math.ceil(this.box.clientHeight / this.high) + 2 * AROUND;
    const first = Math.max(0, top * this.columns);
    const last = Math.min(this.items.length, (top + seen) * this.columns);
    for (const [at, cell] of this._cells) {
      if (at < first || at >= last) {
        drop(cell);
        this._cells.delete(at);
      }
    }
    for (let at = first; at < last; at++) {
      if (!this._cells.has(at)) this._cells.set(at, this._cell(at));
    }
  }

  _cell(at) {
    const item = this.items[at];
    const cell = h("div", {
      className: "cell", role: "option", id: `${this.box.id}-${at}`,
      "aria-setsize": this.items.length, "aria-posinset": at + 1,
    });
    const x = (at % this.columns) * (this.wide + GAP) + 4;
    const y = Math.floor(at / this.columns) * this.high + 4;
    cell.style.transform = `translate(${x}px, ${y}px)`;
    cell.style.width = `${this.wide}px`;
    cell.style.height = `${this.high - GAP}px`;
    cell.dataset.at = String(at);
    if (model.kind === "text") cell.append(words(item));
    else {
      const image = h("img", { alt: "", decoding: "async", draggable: false });
      image.addEventListener("error", () => {
        if (image.hasAttribute("src")) cell.classList.add("bad");
      });
      image.src = `/thumbnail/${item}`;
      cell.append(image);
      if (model.kind === "row") cell.classList.add("pixels");
    }
    cell.append(h("span", { className: "said" }));
    this._mark(cell, item);
    this._label(cell, item);
    this._room.append(cell);
    return cell;
  }

  _mark(cell, item) {
    const own = model.answer.get(item);
    const label = model.classOf(item);
    const guess = this.showGuess && own === undefined ? model.guess(item) : null;
    const seen = model.lookedAt(item);
    const selected = this.selected.has(item);
    // What is drawn already is left alone: a key press changes one of them.
    const drawn = JSON.stringify([own, label, guess, seen, selected]);
    if (cell.dataset.drawn === drawn) return;
    cell.dataset.drawn = drawn;
    cell.classList.toggle("answered", seen);
    cell.classList.toggle("rejected", label === REJECTED);
    cell.setAttribute("aria-selected", String(selected));
    const line = cell.querySelector(".said");
    let text = own !== undefined ? (own === REJECTED ? "rejected" : own) : "";
    if (guess) text = `${guess.label}? ${Math.round(guess.p * 100)}%`;
    line.textContent = text;
    line.hidden = !text;
    line.classList.toggle("guess", Boolean(guess));
    this._label(cell, item);
  }

  _label(cell, item) {
    const label = model.classOf(item);
    const what = label === REJECTED ? "rejected" : label || "no class";
    const name = model.nameOf(item);
    const line = cell.querySelector(".said");
    const more = line.classList.contains("guess") ? `, ${line.textContent}` : "";
    cell.setAttribute("aria-label", `${name}${more}, ${what}`);
    cell.title = name;
  }

  _each(work) {
    for (const [at, cell] of this._cells) work(cell, this.items[at]);
  }

  _focus() {
    for (const [at, cell] of this._cells) cell.classList.toggle("focus", at === this.at);
    const id = `${this.box.id}-${this.at}`;
    if (this._cells.has(this.at)) this.box.setAttribute("aria-activedescendant", id);
    else this.box.removeAttribute("aria-activedescendant");
  }

  _see() {
    const top = Math.floor(this.at / this.columns) * this.high;
    if (top < this.box.scrollTop) this.box.scrollTop = top;
    const over = top + this.high + 8 - this.box.clientHeight;
    if (over > this.box.scrollTop) this.box.scrollTop = over;
  }

  _click(event) {
    const cell = event.target.closest(".cell");
    if (!cell || this._long) {
      this._long = false;
      return;
    }
    const at = Number(cell.dataset.at);
    if (event.shiftKey) this.go(at, true);
    else {
      this.go(at);
      if (event.ctrlKey || event.metaKey || this.selected.size) this.toggle();
    }
  }

  // A long touch selects, as in photo managers.
  _press(event) {
    const cell = event.target.closest(".cell");
    this._long = false;
    if (!cell || event.pointerType === "mouse") return;
    this._held = setTimeout(() => {
      this._long = true;
      this.go(Number(cell.dataset.at));
      this.toggle();
    }, 450);
  }

  _tell(what) {
    this.dispatchEvent(new Event(what));
  }
}

function drop(cell) {
  const image = cell.querySelector("img");
  if (image && !image.complete) image.removeAttribute("src"); // asks no more for it
  cell.remove();
}

const texts = new Map();

function words(item) {
  const box = h("div", { className: "words" });
  if (!texts.has(item)) {
    texts.set(item, fetch(`/api/text/${item}`).then((answer) => answer.json()));
  }
  texts.get(item).then(({ lines, words: strongest }) => {
    box.replaceChildren(...(strongest.length ? [h("b", {}, strongest.join(" · ")), "\n"] : []),
      lines || (strongest.length ? "" : model.nameOf(item)));
  }, () => { box.textContent = model.nameOf(item); });
  return box;
}
