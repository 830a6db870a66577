// What can be said of photos and clusters.
import { askWord } from "./dialogs.js";
import { many, say } from "./dom.js";
import { findNear, near, open } from "./groups.js";
import { model } from "./model.js";
import { view } from "./view.js";
import { followGrid } from "./zoom.js";

/**
 * Says of what is selected, or where the focus is, that it is of a class.
 * @param {string} label "" takes back what was said
 * @param {import("./grid.js").Grid} [from] @param {Record<string, any>} [more]
 */
export async function mark(label, from = view.grid, more = {}) {
  const items = from.targets();
  if (items.length) await markItems(new Map([[label, items]]), from, more);
}

/** @param {Map<string, number[]>} by class @param {import("./grid.js").Grid} from
 * @param {Record<string, any>} [more] */
async function markItems(by, from, more = {}) {
  const chosen = new Set(from.selected);
  const sent = [...by].map(([label, items]) =>
    model.say({ do: "mark", items, class: label, ...more }));
  // It goes on at once: the next key is about the next photo, however busy the server.
  from.selected.clear();
  if (!chosen.size && from.at < from.items.length - 1) from.go(from.at + 1);
  else from.refresh();
  followGrid();
  const taken = await Promise.all(sent);
  if (taken.every(Boolean) || !chosen.size || from.selected.size) return;
  from.selected = chosen; // for another try
  from.refresh();
}

export async function move() {
  const from = view.grid;
  const items = from.targets();
  if (!items.length) return;
  const what = `Move ${many(items.length, model.unit)} to the class`;
  const word = await askWord(what, model.classes());
  if (word !== null) await mark(word, from);
}

export async function ownClass() {
  const from = view.grid;
  const items = from.targets();
  if (!items.length) return;
  const word = await askWord(`A new class, of ${many(items.length, model.unit)}`, []);
  if (word !== null && word.trim()) await mark(word, from, { new: true });
}

export async function confirmGuess() {
  const from = view.grid;
  /** @type {Map<string, number[]>} */
  const by = new Map();
  for (const item of from.targets()) {
    const guess = model.guess(item);
    if (guess) by.set(guess.label, [...(by.get(guess.label) || []), item]);
  }
  if (by.size) await markItems(by, from);
  else say("There is no guess: train first.");
}

/** @returns {string | null} */
function clusterHere() {
  if (view.tab === "sort" && view.group.kind === "cluster") return view.group.key;
  say("Open a cluster first.");
  return null;
}

export async function nameCluster() {
  const cluster = clusterHere();
  if (cluster === null) return;
  const now = model.name.get(cluster) || "";
  const word = await askWord(`The class of cluster ${cluster}`, model.classes(), now);
  if (word !== null) await model.say({ do: "name", cluster, class: word });
}

export async function acceptCluster() {
  const cluster = clusterHere();
  if (cluster === null) return;
  const on = !model.accepted.has(cluster);
  if (on && !model.name.get(cluster)) {
    await nameCluster();
    if (!model.name.get(cluster)) return;
  }
  await model.say({ do: "accept", cluster, on });
}

export async function splitCluster() {
  const cluster = clusterHere();
  if (cluster === null) return;
  const before = new Set(model.groups().keys());
  if (!await model.say({ do: "split", cluster })) return;
  const part = [...model.groups()].find(([name]) => !before.has(name));
  if (part) say(`${many(part[1].length, model.unit)} went into cluster ${part[0]}.`);
  findNear();
}

export async function mergeCluster() {
  const cluster = clusterHere();
  if (cluster === null) return;
  const others = [...model.groups().keys()].filter((name) => name !== cluster);
  const first = (near[cluster] || []).filter((name) => others.includes(name));
  const order = [...new Set([...first, ...others])];
  /** @param {string} name */
  const shown = (name) => `${name}${model.name.get(name) ? `: ${model.name.get(name)}` : ""}`;
  const what = `Merge cluster ${cluster} into (the nearest first)`;
  const into = (await askWord(what, order, "", shown))?.trim();
  if (!into) return;
  if (await model.say({ do: "merge", cluster, into })) {
    open("cluster", into);
    findNear();
  }
}
