// A grid of thumbnails of any length: only those that can be seen are in the page, and
// their elements are used again for others as it is scrolled.
import { h } from "./dom.js";
import { REJECTED, model } from "./model.js";

const GAP = 6;
const AROUND = 2; // rows above and below what can be seen
const SIZES = [96, 136, 190, 260];
const LOADS = 8; // pictures begun in a frame while it is scrolled
const FAST = 0.12; // of its height scrolled in a frame: nothing can be looked at
const FRAMES = 3; // so many of them in a row, before it counts as fast
const REST = 90; // milliseconds without scrolling, then all are loaded

/**
 * @typedef {object} Cell one thumbnail in the page
 * @property {HTMLElement} node
 * @property {HTMLImageElement | null} image null: it shows words
 * @property {HTMLElement} line what was said of it, or guessed
 * @property {number} at its place in the grid
 * @property {number} item
 * @property {boolean} loaded its picture has been asked for
 * @property {string} drawn
 */

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
    this.columns = 0;
    this.wide = 0;
    this._from = 0; // where a range began
    /** @type {Map<number, Cell>} */
    this._cells = new Map();
    /** @type {Cell[]} out of sight, to be used again */
    this._spare = [];
    /** @type {Cell | undefined} */
    this._focused = undefined;
    this._asked = false;
    this._top = 0;
    this._tall = 0; // of the box, in pixels
    this._quick = 0; // frames in a row in which it was scrolled fast
    this._long = false; // a long touch has just selected
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._held = undefined;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this._rest = undefined;
    this._room = h("div", { className: "room" });
    box.append(this._room);
    box.tabIndex = 0;
    box.setAttribute("role", "listbox");
    box.setAttribute("aria-label", label);
    box.addEventListener("scroll", () => this._later(), { passive: true });
    new ResizeObserver(() => this._lay()).observe(box);
    box.addEventListener("click", (event) => this._click(event));
    box.addEventListener("dblclick", () => this._tell("zoom"));
    box.addEventListener("pointerdown", (event) => this._press(event));
    for (const what of ["pointerup", "pointercancel", "pointerleave", "scroll"]) {
      box.addEventListener(what, () => clearTimeout(this._held), { passive: true });
    }
    model.addEventListener("names", () => this._each((cell) => this._label(cell)));
  }

  /** @param {number[]} items @param {boolean} keep the place and what is selected */
  show(items, keep = false) {
    const before = this.items[this.at];
    this.items = items;
    const there = new Set(keep ? items : []);
    this.selected = new Set([...this.selected].filter((i) => there.has(i)));
    const at = keep ? items.indexOf(before) : 0;
    this.at = at >= 0 ? at : Math.min(this.at, Math.max(0, items.length - 1));
    this._from = this.at;
    if (!keep) this.box.scrollTop = 0;
    this._lay();
  }

  /** Draws anew what is said of the items that can be seen. */
  refresh() {
    this._each((cell) => this._mark(cell));
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
    const page = this.columns * Math.max(1, Math.floor(this._tall / this.high));
    /** @type {Record<string, number>} */
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
    this._tall = this.box.clientHeight;
    if (width <= 0) return;
    this.columns = Math.max(2, Math.floor((width + GAP) / (SIZES[this.size] + GAP)));
    this.wide = Math.floor((width + GAP) / this.columns) - GAP;
    const rows = Math.ceil(this.items.length / this.columns);
    this._room.style.height = `${rows * this.high + 8}px`;
    for (const cell of this._cells.values()) this._spare.push(cell);
    this._cells.clear();
    this._focused?.node.classList.remove("focus");
    this._focused = undefined;
    // A list without any entry is none for those who hear the page.
    const some = this.items.length > 0;
    this.box.setAttribute("role", some ? "listbox" : "region");
    if (some) this.box.setAttribute("aria-multiselectable", "true");
    else this.box.removeAttribute("aria-multiselectable");
    if (!this.items.length) {
      for (const cell of this._spare) remove(cell);
      this._room.replaceChildren(h("p", { className: "empty" }, this.empty));
      this.box.removeAttribute("aria-activedescendant");
      return;
    }
    this._room.querySelector(".empty")?.remove();
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
    const top = this.box.scrollTop;
    const moved = Math.abs(top - this._top);
    this._top = top;
    this._quick = moved > FAST * this._tall ? this._quick + 1 : 0;
    const from = Math.floor(top / this.high) - AROUND;
    const seen = Math.ceil(this._tall / this.high) + 2 * AROUND + 1;
    const first = Math.max(0, from * this.columns);
    const last = Math.min(this.items.length, (from + seen) * this.columns);
    for (const [at, cell] of this._cells) {
      if (at < first || at >= last) {
        this._spare.push(cell);
        this._cells.delete(at);
      }
    }
    for (let at = first; at < last; at++) {
      if (!this._cells.has(at)) this._cells.set(at, this._place(at));
    }
    for (const cell of this._spare) if (cell.node.isConnected) remove(cell);
    if (this._quick < FRAMES) this._load(top, moved ? LOADS : Infinity);
    clearTimeout(this._rest);
    this._rest = setTimeout(() => this._rested(), REST);
  }

  /** Begins to load pictures that can be seen. @param {number} top @param {number} most */
  _load(top, most) {
    const [low, high] = [top - this.high, top + this._tall];
    let left = most;
    for (const cell of this._cells.values()) {
      if (cell.loaded) continue;
      const y = Math.floor(cell.at / this.columns) * this.high;
      if (y < low || y > high) continue;
      this._picture(cell);
      left -= 1;
      if (left <= 0) return;
    }
  }

  _rested() {
    this._quick = 0;
    this._load(this._top, Infinity);
    this._each((cell) => this._picture(cell)); // and what is around it
  }

  /** A cell for this place, out of sight until now. @param {number} at */
  _place(at) {
    const item = this.items[at];
    const cell = this._spare.pop() || made();
    if (cell.item !== item || !cell.loaded) clear(cell);
    if (!cell.node.isConnected) this._room.append(cell.node);
    const { node } = cell;
    cell.at = at;
    cell.item = item;
    const x = (at % this.columns) * (this.wide + GAP) + 4;
    const y = Math.floor(at / this.columns) * this.high + 4;
    node.style.transform = `translate(${x}px, ${y}px)`;
    const [wide, high] = [`${this.wide}px`, `${this.high - GAP}px`];
    if (node.style.width !== wide) node.style.width = wide;
    if (node.style.height !== high) node.style.height = high;
    node.id = `${this.box.id}-${at}`;
    node.dataset.at = String(at);
    node.setAttribute("aria-setsize", String(this.items.length));
    node.setAttribute("aria-posinset", String(at + 1));
    cell.drawn = "";
    this._mark(cell);
    return cell;
  }

  /** @param {Cell} cell */
  _picture(cell) {
    if (cell.loaded) return;
    cell.loaded = true;
    if (cell.image) cell.image.src = `/thumbnail/${cell.item}`;
    else showWords(cell);
  }

  /** @param {Cell} cell */
  _mark(cell) {
    const { node, item, line } = cell;
    const hoped = model.hoped.get(item);
    const own = hoped === undefined ? model.answer.get(item) : hoped || undefined;
    const label = own ?? model.classOf(item);
    const guess = this.showGuess && own === undefined ? model.guess(item) : null;
    const seen = own !== undefined || model.lookedAt(item);
    const selected = this.selected.has(item);
    // What is drawn already is left alone: a key press changes one of them.
    const drawn = JSON.stringify([own, label, guess, seen, selected, hoped !== undefined]);
    if (cell.drawn === drawn) return;
    cell.drawn = drawn;
    node.classList.toggle("answered", seen);
    node.classList.toggle("rejected", label === REJECTED);
    node.classList.toggle("hoped", hoped !== undefined);
    node.setAttribute("aria-selected", String(selected));
    let text = own !== undefined ? (own === REJECTED ? "rejected" : own) : "";
    if (guess) text = `${guess.label}? ${Math.round(guess.p * 100)}%`;
    line.textContent = text;
    line.hidden = !text;
    line.classList.toggle("guess", Boolean(guess));
    this._label(cell);
  }

  /** @param {Cell} cell */
  _label({ node, item, line }) {
    const label = model.classOf(item);
    const what = label === REJECTED ? "rejected" : label || "no class";
    const name = model.nameOf(item);
    const more = line.classList.contains("guess") ? `, ${line.textContent}` : "";
    node.setAttribute("aria-label", `${name}${more}, ${what}`);
    node.title = name;
  }

  /** @param {(cell: Cell) => void} work */
  _each(work) {
    for (const cell of this._cells.values()) work(cell);
  }

  _focus() {
    const cell = this._cells.get(this.at);
    if (cell !== this._focused) {
      this._focused?.node.classList.remove("focus");
      this._focused = cell;
    }
    cell?.node.classList.add("focus");
    if (cell) this.box.setAttribute("aria-activedescendant", cell.node.id);
    else this.box.removeAttribute("aria-activedescendant");
  }

  _see() {
    const top = Math.floor(this.at / this.columns) * this.high;
    const now = this.box.scrollTop;
    const over = top + this.high + 8 - this._tall;
    if (top < now) this.box.scrollTop = top;
    else if (over > now) this.box.scrollTop = over;
  }

  /** @param {MouseEvent} event */
  _click(event) {
    const cell = cellOf(event);
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

  /** A long touch selects, as in photo managers. @param {PointerEvent} event */
  _press(event) {
    const cell = cellOf(event);
    this._long = false;
    if (!cell || event.pointerType === "mouse") return;
    this._held = setTimeout(() => {
      this._long = true;
      this.go(Number(cell.dataset.at));
      this.toggle();
    }, 450);
  }

  /** @param {string} what */
  _tell(what) {
    this.dispatchEvent(new Event(what));
  }
}

/** @param {Event} event @returns {HTMLElement | null} */
function cellOf(event) {
  return /** @type {HTMLElement} */ (event.target).closest(".cell");
}

/** @returns {Cell} */
function made() {
  const node = h("div", { className: "cell", role: "option" });
  const line = h("span", { className: "said" });
  /** @type {HTMLImageElement | null} */
  let image = null;
  if (model.kind === "text") node.append(h("div", { className: "words" }));
  else {
    const picture = h("img", { alt: "", decoding: "async", draggable: false });
    picture.addEventListener("error", () => {
      if (picture.hasAttribute("src")) node.classList.add("bad");
    });
    if (model.kind === "row") node.classList.add("pixels");
    node.append(picture);
    image = picture;
  }
  node.append(line);
  return { node, image, line, at: -1, item: -1, loaded: false, drawn: "" };
}

/** Asks no more for its picture. @param {Cell} cell */
function clear(cell) {
  cell.loaded = false;
  cell.node.classList.remove("bad");
  if (cell.image) cell.image.removeAttribute("src");
  else cell.node.firstElementChild?.replaceChildren();
}

/** Out of the page, to be used again. @param {Cell} cell */
function remove(cell) {
  if (cell.image && !cell.image.complete) clear(cell);
  cell.node.classList.remove("focus");
  cell.node.remove();
}

/** @type {Map<number, Promise<{ lines: string, words: string[] }>>} */
const texts = new Map();

/** @param {Cell} cell */
async function showWords(cell) {
  const { item } = cell;
  const box = /** @type {HTMLElement} */ (cell.node.firstChild);
  let found = texts.get(item);
  if (!found) {
    found = fetch(`/api/text/${item}`).then((answer) => answer.json());
    texts.set(item, found);
  }
  const { lines, words } = await found.catch(() => ({ lines: "", words: [] }));
  if (cell.item !== item) return;
  box.replaceChildren(...(words.length ? [h("b", {}, words.join(" · ")), "\n"] : []),
    lines || (words.length ? "" : model.nameOf(item)));
}
