// The list of clusters and classes, and which of them is open.
import { $, ask, count, h, many, say } from "./dom.js";
import { REJECTED, model } from "./model.js";
import { grid, view } from "./view.js";
import { zoomIsOpen } from "./zoom.js";

const DOUBTFUL = 200; // shown at a time

/** @type {number[]} */
let doubtful = [];
/** Clusters by the cluster that they are nearest to.
 * @type {Record<string, string[]>} */
export let near = {};

/** @param {import("./view.js").Group} group */
function itemsOf({ kind, key }) {
  if (kind === "doubtful") return doubtful;
  const items = kind === "cluster" ? model.groups().get(key) || []
    : model.itemsOf(kind === "rejected" ? REJECTED : key);
  return view.least ? [...items].reverse() : items;
}

/** The items of the open group that are to be seen. */
export function shownItems() {
  const items = itemsOf(view.group);
  return view.hide && view.group.kind !== "doubtful"
    ? items.filter((i) => !model.lookedAt(i)) : items;
}

/** @param {string} kind @param {string} key */
export async function open(kind, key) {
  view.group = { kind, key };
  if (kind === "doubtful") {
    try {
      doubtful = await ask(`/api/doubtful?count=${DOUBTFUL}`);
    } catch (error) {
      say(error.message, "error");
    }
  }
  grid.showGuess = kind === "doubtful" || kind === "class";
  grid.empty = view.hide ? "All of it has been looked at." : "Nothing is in it.";
  if (kind === "doubtful") {
    grid.empty = model.guesses ? "Nothing is left to look at."
      : "Train first: then what was learned says what it doubts.";
  }
  grid.at = 0;
  grid.show(shownItems());
  view.changed();
  if (view.tab === "sort" && !zoomIsOpen()) $("grid").focus();
}

/** The group before or after in the list. @param {number} by */
export function step(by) {
  const all = /** @type {HTMLElement[]} */ ([...$("groups").querySelectorAll("button")]);
  const { kind, key } = view.group;
  const at = all.findIndex(({ dataset }) => dataset.kind === kind && dataset.key === key);
  const to = all[Math.max(0, Math.min(all.length - 1, at + by))];
  if (!to) return;
  open(to.dataset.kind || "", to.dataset.key || "");
  to.scrollIntoView({ block: "nearest", inline: "nearest" });
}

export async function findNear() {
  try {
    near = await ask("/api/near");
    view.changed();
  } catch { /* a loop on a table has no code: then nothing is near */ }
}

/** Buttons of groups by kind and key: kept, so that their pictures stay.
 * @type {Map<string, HTMLButtonElement>} */
const buttons = new Map();

/**
 * @typedef {object} Entry
 * @property {string} kind
 * @property {string} key
 * @property {string} label
 * @property {string} small
 * @property {number} [face] the item whose picture stands for it
 * @property {string} [mark]
 */

/** @param {Entry} entry */
function button({ kind, key, label, small, face, mark = "" }) {
  const id = `${kind} ${key}`;
  const node = buttons.get(id) || made(kind, key);
  buttons.set(id, node);
  const [picture, words, ok] = node.children;
  /** @param {Element} at @param {string} text */
  const set = (at, text) => { if (at.textContent !== text) at.textContent = text; };
  if (model.kind !== "text" && face !== undefined) {
    const path = `/thumbnail/${face}`;
    if (picture.getAttribute("src") !== path) picture.setAttribute("src", path);
  }
  set(words.children[0], label);
  set(words.children[1], small);
  set(ok, mark);
  ok.toggleAttribute("hidden", !mark);
  node.title = label;
  if (kind === view.group.kind && key === view.group.key) node.setAttribute("aria-current", "true");
  else node.removeAttribute("aria-current");
  return node;
}

/** @param {string} kind @param {string} key @returns {HTMLButtonElement} */
function made(kind, key) {
  const node = h("button", { onclick: () => open(kind, key) },
    model.kind === "text" ? h("span", { className: "face" })
      : h("img", { className: "face", alt: "", loading: "lazy", decoding: "async" }),
    h("span", { className: "label" }, h("span"), h("small")),
    h("span", { className: "ok", role: "img", "aria-label": "accepted" }));
  node.dataset.kind = kind;
  node.dataset.key = key;
  return node;
}

/** Titles and buttons, and the line about all. */
export function drawGroups() {
  const { sizes, faces, left, named, rejected } = model.counts();
  /** @type {HTMLElement[]} */
  const parts = [];
  /** @param {Entry} entry */
  const add = (entry) => parts.push(button(entry));
  if (model.guesses) {
    add({ kind: "doubtful", key: "", label: "Doubtful", small: `${count(left)} not looked at`,
      face: doubtful[0] });
  }
  parts.push(h("h2", {}, "Clusters"));
  for (const [cluster, items] of model.groups()) {
    const name = model.name.get(cluster);
    const said = name === REJECTED ? "rejected" : name || "no name";
    add({ kind: "cluster", key: cluster, label: `${cluster}: ${said}`,
      small: many(items.length, model.unit), face: items[0],
      mark: model.accepted.has(cluster) ? "✓" : "" });
  }
  const classes = model.classes();
  if (classes.length) parts.push(h("h2", {}, "Classes"));
  for (const label of classes) {
    add({ kind: "class", key: label, label, small: many(sizes.get(label) || 0, model.unit),
      face: faces.get(label) });
  }
  if (rejected) {
    add({ kind: "rejected", key: "", label: "Rejected", small: many(rejected, model.unit),
      face: faces.get(REJECTED) });
  }
  replace($("groups"), parts);
  const { gone } = model.facts;
  $("counts").textContent = [
    `${many(model.there.length, model.unit)}: ${count(named)} with a class`,
    `${count(model.there.length - left)} looked at`,
    ...(gone.length ? [`${count(gone.length)} not there any more`] : []),
  ].join(", ");
}

/** Puts parts into the list where they are not; keeps its place and the focus.
 * @param {HTMLElement} box @param {HTMLElement[]} parts */
function replace(box, parts) {
  const old = [...box.children];
  const same = old.length === parts.length && old.every((node, i) =>
    node === parts[i] || (node.tagName === "H2" && node.textContent === parts[i].textContent));
  if (same) return;
  const [top, left, focus] = [box.scrollTop, box.scrollLeft, document.activeElement];
  box.replaceChildren(...parts);
  [box.scrollTop, box.scrollLeft] = [top, left];
  if (focus instanceof HTMLElement && box.contains(focus)) focus.focus();
}
