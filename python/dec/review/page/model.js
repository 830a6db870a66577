// What the review says now, as the server has confirmed it.
import { ask, say } from "./dom.js";

export const REJECTED = "-";

class Model extends EventTarget {
  constructor() {
    super();
    this.n = 0;
    /** @type {number[]} items whose photos are there */
    this.there = [];
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
    /** @type {any} */
    this.guesses = null;
    this.number = -1;
    this.undo = 0;
    this.redo = 0;
    this.kind = "photo";
    /** @type {any} */
    this.facts = {};
    this.names = new Map();
    this._wanted = new Set();
    /** @type {Map<string, number[]> | null} */
    this._groups = null;
    this._classes = null;
    this._confirmed = Promise.resolve();
  }

  async load() {
    const facts = await ask("/api/state");
    const guesses = await ask("/api/guesses");
    this.facts = facts;
    this.kind = facts.kind;
    this.n = facts.cluster.length;
    const gone = new Set(facts.gone);
    this.there = facts.cluster.map((_, i) => i).filter((i) => !gone.has(i));
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

  /** Sends an answer; resolves to true when it is on disk and shown. @param {any} said */
  async say(said) {
    try {
      this.take(await ask("/api/answer", said));
      return true;
    } catch (error) {
      say(error.message, "error");
      return false;
    }
  }

  /** @param {any} told */
  take(told) {
    if (told.number <= this.number) return;
    if (told.number > this.number + 1) {
      this.load().catch((error) => say(error.message, "error"));
      return;
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
  }

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
      const p = this.confidence;
      for (const items of found) items.sort((a, b) => p[b] - p[a] || a - b);
      const order = this.clusters.map((name, i) => i).filter((i) => found[i].length);
      const natural = new Intl.Collator("en", { numeric: true });
      order.sort((a, b) => natural.compare(this.clusters[a], this.clusters[b]));
      this._groups = new Map(order.map((i) => [this.clusters[i], found[i]]));
    }
    return this._groups;
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
      const found = await ask(`/api/names?items=${items.join(",")}`);
      items.forEach((item, at) => this.names.set(item, found[at]));
      this.dispatchEvent(new Event("names"));
    } catch { /* a name is not worth a message: numbers stay */ }
  }
}

export const model = new Model();
