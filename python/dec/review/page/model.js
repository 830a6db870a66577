// What the review says now, as the server has confirmed it.
import { ask, say } from "./dom.js";

export const REJECTED = "-";

/**
 * @typedef {object} Guesses of the last net: thousandths, and numbers of `classes`
 * @property {string[]} classes
 * @property {number[]} first
 * @property {number[]} p
 * @property {number[]} margin
 *
 * @typedef {object} Bar
 * @property {string} what
 * @property {string} percent
 * @property {string} done
 * @property {string} total
 * @property {string} left
 *
 * @typedef {object} Job work in the background
 * @property {string} what
 * @property {"running" | "done" | "failed" | "stopped"} state
 * @property {Bar | null} bar
 * @property {string[]} lines
 * @property {number[][]} loss by iteration
 * @property {number[][]} accuracy of validation photos, in percent, by iteration
 * @property {number} seconds
 *
 * @typedef {object} Facts what the server says at first
 * @property {string} title
 * @property {"photo" | "row" | "text"} kind
 * @property {string} measure what `confidence` is
 * @property {string[]} experiments
 * @property {string[]} exports
 * @property {string} trouble
 * @property {Job | null} job
 * @property {boolean} elsewhere
 * @property {number[]} gone
 *
 * @typedef {[table: string, key: any, value: any]} Change
 * @typedef {{ number: number, changes: Change[], undo: number, redo: number }} Told
 */

class Model extends EventTarget {
  constructor() {
    super();
    this.n = 0;
    /** @type {number[]} items whose photos are there */
    this.there = [];
    /** @type {Set<number>} and those whose photos are not */
    this.gone = new Set();
    /** @type {string[]} names of clusters; `cluster` has numbers of these */
    this.clusters = [];
    this.cluster = new Int32Array(0);
    this.confidence = new Int16Array(0);
    /** @type {Map<string, string>} */
    this.name = new Map();
    /** @type {Set<string>} */
    this.accepted = new Set();
    /** @type {Map<number, string>} */
    this.answer = new Map();
    /** @type {Map<number, string>} said, and not yet on disk; "": taken back */
    this.hoped = new Map();
    /** @type {Guesses | null} */
    this.guesses = null;
    this.number = -1;
    this.undo = 0;
    this.redo = 0;
    /** @type {"photo" | "row" | "text"} */
    this.kind = "photo";
    /** @type {Facts} */
    this.facts = /** @type {any} */ ({});
    /** @type {Map<number, string>} */
    this.names = new Map();
    /** @type {Set<number>} */
    this._wanted = new Set();
    /** @type {Map<string, number[]> | null} */
    this._groups = null;
    /** @type {string[] | null} */
    this._classes = null;
    /** @type {Promise<unknown>} the answer sent last */
    this._sent = Promise.resolve();
  }

  async load() {
    const [facts, guesses] = await Promise.all([ask("/api/state"), ask("/api/guesses")]);
    this.facts = facts;
    this.kind = facts.kind;
    this.n = facts.cluster.length;
    this.gone = new Set(facts.gone);
    this.there = [];
    for (let i = 0; i < this.n; i++) if (!this.gone.has(i)) this.there.push(i);
    this.clusters = facts.clusters;
    this.cluster = Int32Array.from(facts.cluster);
    this.confidence = Int16Array.from(facts.confidence);
    this.name = new Map(Object.entries(facts.name));
    this.accepted = new Set(facts.accepted);
    this.answer = new Map(facts.answer);
    this.guesses = guesses.classes ? guesses : null;
    this.number = facts.number;
    this.undo = facts.undo;
    this.redo = facts.redo;
    this._changed();
  }

  /** Hears of answers of other pages, and of the work in the background. */
  listen() {
    const events = new EventSource("/api/events");
    events.addEventListener("change", (event) => this.take(JSON.parse(event.data)));
    events.addEventListener("progress", (event) => {
      Object.assign(this.facts, JSON.parse(event.data));
      this.dispatchEvent(new Event("progress"));
    });
    events.addEventListener("guesses", () => this.load().catch(() => {}));
    let lost = false;
    events.addEventListener("error", () => {
      if (!lost) say("The server does not answer; nothing that was confirmed is lost.", "error");
      lost = true;
    });
    events.addEventListener("open", () => {
      if (lost) this.load().catch((error) => say(error.message, "error"));
      lost = false;
    });
  }

  /**
   * Sends an answer, after those before it; resolves to true when it is on disk and
   * shown. What is said of items shows at once, as something that is not on disk yet.
   * @param {Record<string, any>} said @returns {Promise<boolean>}
   */
  say(said) {
    /** @type {number[]} */
    const items = said.do === "mark" ? said.items : [];
    for (const item of items) this.hoped.set(item, said.class);
    const done = this._sent.then(() => this._send(said, items));
    this._sent = done;
    return done;
  }

  /** @param {Record<string, any>} said @param {number[]} items */
  async _send(said, items) {
    let told = null;
    try {
      told = await ask("/api/answer", said);
    } catch (error) {
      say(error.message, "error");
    }
    for (const item of items) {
      if (this.hoped.get(item) === said.class) this.hoped.delete(item);
    }
    // Nothing new is told of what stood so before, or was heard of from the server.
    if (!told || !this.take(told)) this._changed(false);
    return told !== null;
  }

  /** False for what is known already. @param {Told} told */
  take(told) {
    if (told.number <= this.number) return false;
    if (told.number > this.number + 1) {
      this.load().catch((error) => say(error.message, "error"));
      return true;
    }
    this.number = told.number;
    this.undo = told.undo;
    this.redo = told.redo;
    let moved = false;
    for (const [table, key, value] of told.changes) {
      if (table === "answer") {
        if (value === null) this.answer.delete(key);
        else this.answer.set(key, value);
      } else if (table === "name") {
        if (value === null) this.name.delete(key);
        else this.name.set(key, value);
      } else if (table === "accepted") {
        if (value) this.accepted.add(key);
        else this.accepted.delete(key);
      } else {
        moved = true;
        let at = this.clusters.indexOf(value);
        if (at < 0) at = this.clusters.push(value) - 1;
        this.cluster[key] = at;
      }
    }
    this._changed(moved);
    return true;
  }

  /** @param {boolean} moved items are in other clusters now */
  _changed(moved = true) {
    if (moved) this._groups = null;
    this._classes = null;
    this.dispatchEvent(new CustomEvent("change", { detail: { moved } }));
  }

  /** Items of every cluster, the most typical first. @returns {Map<string, number[]>} */
  groups() {
    if (!this._groups) {
      /** @type {number[][]} */
      const found = this.clusters.map(() => []);
      for (const i of this.there) found[this.cluster[i]].push(i);
      for (const items of found) items.sort((a, b) => this.byConfidence(a, b));
      const order = this.clusters.map((_, i) => i).filter((i) => found[i].length);
      const natural = new Intl.Collator("en", { numeric: true });
      order.sort((a, b) => natural.compare(this.clusters[a], this.clusters[b]));
      this._groups = new Map(order.map((i) => [this.clusters[i], found[i]]));
    }
    return this._groups;
  }

  /** The most typical first. @param {number} a @param {number} b */
  byConfidence(a, b) {
    return this.confidence[b] - this.confidence[a] || a - b;
  }

  /** @param {number} i @returns {string} "" for none */
  classOf(i) {
    const own = this.answer.get(i);
    if (own !== undefined) return own;
    return this.name.get(this.clusters[this.cluster[i]]) || "";
  }

  /** @param {number} i */
  lookedAt(i) {
    return this.answer.has(i) || this.accepted.has(this.clusters[this.cluster[i]]);
  }

  /** Items of a class, or REJECTED, the most typical first. @param {string} label */
  itemsOf(label) {
    return this.there.filter((i) => this.classOf(i) === label)
      .sort((a, b) => this.byConfidence(a, b));
  }

  /**
   * How many items each class has, one item of each, and how many nobody has looked at.
   * By clusters and answers: a pass over all items would be felt at every key.
   */
  counts() {
    /** @type {Map<string, number>} */
    const sizes = new Map();
    /** @type {Map<string, number>} */
    const faces = new Map();
    /** @type {Map<number, number>} answers by number of the cluster */
    const said = new Map();
    /** @param {string} label @param {number} more */
    const add = (label, more) => sizes.set(label, (sizes.get(label) || 0) + more);
    for (const [i, label] of this.answer) {
      if (this.gone.has(i)) continue;
      add(label, 1);
      if (!faces.has(label)) faces.set(label, i);
      said.set(this.cluster[i], (said.get(this.cluster[i]) || 0) + 1);
    }
    let left = 0;
    const numbers = new Map(this.clusters.map((name, i) => [name, i]));
    for (const [cluster, items] of this.groups()) {
      const others = items.length - (said.get(numbers.get(cluster) ?? -1) || 0);
      const label = this.name.get(cluster) || "";
      if (!others) continue;
      add(label, others);
      const face = faces.has(label) ? undefined : items.find((i) => !this.answer.has(i));
      if (face !== undefined) faces.set(label, face);
      if (!this.accepted.has(cluster)) left += others;
    }
    const rejected = sizes.get(REJECTED) || 0;
    const named = this.there.length - (sizes.get("") || 0) - rejected;
    return { sizes, faces, left, named, rejected };
  }

  /** Classes in use, in an order that stays: by name. @returns {string[]} */
  classes() {
    if (!this._classes) {
      const found = new Set([...this.name.values(), ...this.answer.values()]);
      found.delete(REJECTED);
      found.delete("");
      this._classes = [...found].sort((a, b) => a.localeCompare(b));
    }
    return this._classes;
  }

  /** The guess of the last net for an item, or null. @param {number} i */
  guess(i) {
    const net = this.guesses;
    if (!net || net.first[i] < 0) return null;
    return { label: net.classes[net.first[i]], p: net.p[i] / 1000, margin: net.margin[i] / 1000 };
  }

  /** What one of them is called. */
  get unit() {
    return { photo: "photo", row: "row", text: "text" }[this.kind];
  }

  /** Its file's name, or a number until it is known. @param {number} i */
  nameOf(i) {
    const found = this.names.get(i);
    if (found !== undefined) return found;
    if (!this._wanted.size) setTimeout(() => this._fetchNames(), 60);
    this._wanted.add(i);
    return `number ${i + 1}`;
  }

  async _fetchNames() {
    const items = [...this._wanted].slice(-400);
    this._wanted.clear();
    try {
      /** @type {string[]} */
      const found = await ask(`/api/names?items=${items.join(",")}`);
      items.forEach((item, at) => this.names.set(item, found[at]));
      this.dispatchEvent(new Event("names"));
    } catch { /* a name is not worth a message: numbers stay */ }
  }
}

export const model = new Model();
