// The page: tabs, groups, keys, and what they do.
import { $, ask, colour, count, h, many, say } from "./dom.js";
import { askWord, showKeys } from "./dialogs.js";
import { Grid } from "./grid.js";
import { setUpLearn, showLearn } from "./learn.js";
import { plane } from "./map.js";
import { REJECTED, model } from "./model.js";
import { followGrid, openZoom, setUpZoom, zoomIsOpen } from "./zoom.js";

const TABS = ["sort", "map", "learn", "away"];
const DOUBTFUL = 200; // shown at a time

/** What the grid shows: a cluster, a class, "doubtful" or "rejected".
 * @type {{ kind: string, key: string }} */
let group = { kind: "cluster", key: "" };
let least = false;
let hide = false;
let tab = "sort";
/** @type {number[]} */
let doubtful = [];
/** @type {Record<string, string[]>} */
let near = {};

const grid = new Grid($("grid"), "Photos");
const mapGrid = new Grid($("map-grid"), "Selected photos");
mapGrid.empty = "Click a point, or draw around some with the lasso.";

const active = () => (tab === "map" ? mapGrid : grid);
const unit = () => ({ photo: "photo", row: "row", text: "text" }[model.kind]);

// Groups -----------------------------------------------------------------------------

function itemsOf({ kind, key }) {
  if (kind === "doubtful") return doubtful;
  let items = [];
  if (kind === "cluster") items = model.groups().get(key) || [];
  else {
    const wanted = kind === "rejected" ? REJECTED : key;
    for (const i of model.there) if (model.classOf(i) === wanted) items.push(i);
    const p = model.confidence;
    items.sort((a, b) => p[b] - p[a] || a - b);
  }
  return least ? [...items].reverse() : items;
}

function shownItems() {
  const items = itemsOf(group);
  return hide && group.kind !== "doubtful" ? items.filter((i) => !model.lookedAt(i)) : items;
}

/** @param {string} kind @param {string} key */
async function open(kind, key) {
  group = { kind, key };
  if (kind === "doubtful") {
    try {
      doubtful = await ask(`/api/doubtful?count=${DOUBTFUL}`);
    } catch (error) {
      say(error.message, "error");
    }
  }
  grid.showGuess = kind === "doubtful" || kind === "class";
  grid.empty = kind === "doubtful"
    ? (model.guesses ? "Nothing is left to look at." : "Train first: then the net says what it doubts.")
    : hide ? "All of it has been looked at." : "Nothing is in it.";
  grid.at = 0;
  grid.show(shownItems());
  draw();
  if (tab === "sort" && !zoomIsOpen()) $("grid").focus();
}

function listed() {
  return [...document.querySelectorAll("#groups button")]
    .map((button) => /** @type {HTMLElement} */ (button).dataset);
}

function step(by) {
  const all = listed();
  const at = all.findIndex((d) => d.kind === group.kind && d.key === group.key);
  const to = all[Math.max(0, Math.min(all.length - 1, at + by))];
  if (to) open(to.kind, to.key);
}

/** Buttons of groups by kind and key: kept, so that their pictures stay.
 * @type {Map<string, any>} */
const buttons = new Map();

function groupButton(kind, key, label, small, face, mark) {
  const id = `${kind} ${key}`;
  let button = buttons.get(id);
  if (!button) {
    button = h("button", { onclick: () => open(kind, key) },
      model.kind === "text" ? h("span", { className: "face" })
        : h("img", { className: "face", alt: "", loading: "lazy" }),
      h("span", { className: "label" }, h("span"), h("small")),
      h("span", { className: "ok" }));
    button.dataset.kind = kind;
    button.dataset.key = key;
    buttons.set(id, button);
  }
  const [picture, words, ok] = button.children;
  const set = (node, text) => { if (node.textContent !== text) node.textContent = text; };
  if (model.kind !== "text" && face !== undefined) {
    const path = `/thumbnail/${face}`;
    if (picture.getAttribute("src") !== path) picture.src = path;
  }
  set(words.children[0], label);
  set(words.children[1], small);
  set(ok, mark);
  button.title = label;
  if (kind === group.kind && key === group.key) button.setAttribute("aria-current", "true");
  else button.removeAttribute("aria-current");
  return button;
}

function drawGroups() {
  const box = $("groups");
  const parts = [];
  const add = (...facts) => parts.push(groupButton(...facts));
  const sizes = new Map();
  const faces = new Map();
  let left = 0;
  for (const i of model.there) {
    const label = model.classOf(i);
    sizes.set(label, (sizes.get(label) || 0) + 1);
    if (!faces.has(label)) faces.set(label, i);
    if (!model.lookedAt(i)) left += 1;
  }
  if (model.guesses) {
    add("doubtful", "", "Doubtful", `${count(left)} not looked at`, doubtful[0], "");
  }
  parts.push(h("h2", {}, "Clusters"));
  for (const [cluster, items] of model.groups()) {
    const name = model.name.get(cluster);
    const said = name === REJECTED ? "rejected" : name || "no name";
    add("cluster", cluster, `${cluster}: ${said}`, many(items.length, unit()), items[0],
      model.accepted.has(cluster) ? "✓" : "");
  }
  const classes = model.classes();
  if (classes.length) parts.push(h("h2", {}, "Classes"));
  for (const label of classes) {
    add("class", label, label, many(sizes.get(label) || 0, unit()), faces.get(label), "");
  }
  if (sizes.has(REJECTED)) {
    add("rejected", "", "Rejected", many(sizes.get(REJECTED), unit()), faces.get(REJECTED), "");
  }
  const old = [...box.children];
  const same = old.length === parts.length &&
    old.every((node, i) => node === parts[i] || (node.tagName === "H2" && parts[i].tagName === "H2"));
  if (!same) {
    const [kept, focus] = [box.scrollTop, document.activeElement];
    box.replaceChildren(...parts);
    box.scrollTop = kept;
    if (focus instanceof HTMLElement && box.contains(focus)) focus.focus();
  }
  const with_ = model.there.length - (sizes.get("") || 0) - (sizes.get(REJECTED) || 0);
  $("counts").textContent = `${many(model.there.length, unit())}: ${count(with_)} with a ` +
    `class, ${count(model.there.length - left)} looked at` + (model.facts.gone.length
    ? `, ${count(model.facts.gone.length)} not there any more` : "");
}

function drawHead() {
  const items = itemsOf(group);
  const { kind, key } = group;
  const titles = { doubtful: "Doubtful: the least certain of what nobody has looked at",
    rejected: "Rejected" };
  const name = model.name.get(key);
  let title = titles[kind] || `Class ${key}`;
  if (kind === "cluster") {
    title = `Cluster ${key}${name ? `: ${name === REJECTED ? "rejected" : name}` : ""}`;
  }
  const known = items.filter((i) => model.confidence[i] >= 0);
  const mean = known.reduce((sum, i) => sum + model.confidence[i], 0) / (known.length || 1);
  const facts = [many(items.length, unit())];
  if (known.length && kind !== "doubtful") facts.push(`mean probability ${(mean / 1000).toFixed(2)}`);
  if (grid.selected.size) facts.push(`${count(grid.selected.size)} selected`);
  const line = h("p", { className: "soft" }, facts.join(" · "));
  if (kind === "cluster" && (near[key] || []).length) {
    line.append(" · near: ", ...near[key].map((other) => h("button", { className: "linked",
      onclick: () => open("cluster", other) }, other)));
  }
  const bar = h("div", { className: "bar" });
  const add = (words, key_, work, pressed) => bar.append(h("button", { onclick: work,
    "aria-keyshortcuts": key_, "aria-pressed": pressed }, words, h("kbd", {}, key_)));
  if (kind === "cluster" && items.length) {
    add("Name", "n", nameCluster);
    add("Accept", "a", acceptCluster, String(model.accepted.has(key)));
    add("Split", "s", splitCluster);
    add("Merge", "g", mergeCluster);
  }
  add("Reject", "x", () => mark(REJECTED));
  add("Move", "m", move);
  if (model.guesses) add("Guess is right", "c", confirmGuess);
  add("New class", "o", ownClass);
  if (kind !== "doubtful") {
    add("Least certain first", "l", turn, String(least));
    add("Hide looked at", "h", toggleHide, String(hide));
  }
  $("group-head").replaceChildren(h("h2", {}, title), line, bar);
}

function drawClasses() {
  for (const [box, to] of [[$("classes"), grid], [$("map-classes"), mapGrid]]) {
    box.replaceChildren(...model.classes().slice(0, 40).map((label, i) => {
      const dot = h("span", { className: "dot" });
      dot.style.background = colour(i);
      return h("button", { onclick: () => mark(label, to), title: label }, dot, label,
        i < 9 ? h("kbd", {}, String(i + 1)) : null);
    }));
  }
}

function draw() {
  drawGroups();
  drawHead();
  drawClasses();
  $("counts").dataset.number = String(model.number);
  $("undo").disabled = !model.undo;
  $("redo").disabled = !model.redo;
}

let drawing = false;

const whenIdle = window.requestIdleCallback
  ? (work) => window.requestIdleCallback(work, { timeout: 150 })
  : (work) => setTimeout(work, 50);

/** Draws what stands around the photos, once these have been drawn. */
function drawLater() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => whenIdle(() => {
    drawing = false;
    draw();
  }));
}

// Answers ----------------------------------------------------------------------------

/** @param {string} label "" takes back what was said @param {Grid} [from] */
async function mark(label, from = active(), more = {}) {
  const items = from.targets();
  if (!items.length) return;
  const one = !from.selected.size;
  if (!await model.say({ do: "mark", items, class: label, ...more })) return;
  from.selected.clear();
  if (one && from.at < from.items.length - 1) from.go(from.at + 1);
  else from.refresh();
  followGrid();
}

async function move() {
  const items = active().targets();
  if (!items.length) return;
  const word = await askWord(`Move ${many(items.length, unit())} to the class`, model.classes());
  if (word !== null) await mark(word);
}

async function ownClass() {
  const items = active().targets();
  if (!items.length) return;
  const word = await askWord(`A new class, of ${many(items.length, unit())}`, []);
  if (word !== null && word.trim()) await mark(word, active(), { new: true });
}

async function confirmGuess() {
  const from = active();
  /** @type {Map<string, number[]>} */
  const by = new Map();
  for (const item of from.targets()) {
    const guess = model.guess(item);
    if (guess) by.set(guess.label, [...(by.get(guess.label) || []), item]);
  }
  if (!by.size) {
    say("There is no guess: train first.");
    return;
  }
  const one = !from.selected.size;
  for (const [label, items] of by) await model.say({ do: "mark", items, class: label });
  from.selected.clear();
  if (one && from.at < from.items.length - 1) from.go(from.at + 1);
  else from.refresh();
  followGrid();
}

const clusterHere = () => {
  if (tab === "sort" && group.kind === "cluster") return group.key;
  say("Open a cluster first.");
  return null;
};

async function nameCluster() {
  const cluster = clusterHere();
  if (cluster === null) return;
  const now = model.name.get(cluster) || "";
  const word = await askWord(`The class of cluster ${cluster}`, model.classes(), now);
  if (word !== null) await model.say({ do: "name", cluster, class: word });
}

async function acceptCluster() {
  const cluster = clusterHere();
  if (cluster === null) return;
  const on = !model.accepted.has(cluster);
  if (on && !model.name.get(cluster)) {
    await nameCluster();
    if (!model.name.get(cluster)) return;
  }
  await model.say({ do: "accept", cluster, on });
}

async function splitCluster() {
  const cluster = clusterHere();
  if (cluster === null) return;
  const before = new Set(model.groups().keys());
  if (!await model.say({ do: "split", cluster })) return;
  const part = [...model.groups().keys()].find((name) => !before.has(name));
  if (part !== undefined) {
    say(`${many(model.groups().get(part).length, unit())} went into cluster ${part}.`);
  }
  nearAgain();
}

async function mergeCluster() {
  const cluster = clusterHere();
  if (cluster === null) return;
  const others = [...model.groups().keys()].filter((name) => name !== cluster);
  const first = (near[cluster] || []).filter((name) => others.includes(name));
  const order = [...new Set([...first, ...others])];
  const shown = (name) => `${name}${model.name.get(name) ? `: ${model.name.get(name)}` : ""}`;
  const into = await askWord(`Merge cluster ${cluster} into (the nearest first)`, order, "", shown);
  if (into === null || !into.trim()) return;
  if (await model.say({ do: "merge", cluster, into: into.trim() })) {
    open("cluster", into.trim());
    nearAgain();
  }
}

function turn() {
  least = !least;
  open(group.kind, group.key);
}

function toggleHide() {
  hide = !hide;
  open(group.kind, group.key);
}

async function nearAgain() {
  try {
    near = await ask("/api/near");
    drawHead();
  } catch { /* a loop on a table has no code: then nothing is near */ }
}

// Tabs and keys ----------------------------------------------------------------------

/** @param {string} to */
function openTab(to) {
  tab = to;
  for (const name of TABS) {
    $(name).hidden = name !== to;
    $(`tab-${name}`).setAttribute("aria-selected", String(name === to));
    $(`tab-${name}`).tabIndex = name === to ? 0 : -1;
  }
  if (to === "map") plane.load().then(() => plane.draw());
  if (to === "learn" || to === "away") showLearn();
  if (to === "sort") grid.refresh();
  if (to === "map") mapGrid.refresh();
}

const COMMANDS = {
  n: nameCluster, a: acceptCluster, s: splitCluster, g: mergeCluster, m: move, o: ownClass,
  c: confirmGuess, l: turn, h: toggleHide,
  x: () => mark(REJECTED), u: () => mark(""), d: () => open("doubtful", ""),
  z: () => model.say({ do: "undo" }), y: () => model.say({ do: "redo" }),
  Z: () => model.say({ do: "redo" }), "?": showKeys,
  "[": () => step(-1), "]": () => step(1),
  Enter: () => openZoom(active()),
};

/** @param {KeyboardEvent} event */
function key(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName);
  if (typing || $("ask").open || $("help").open || event.altKey) return;
  const control = event.ctrlKey || event.metaKey;
  if (target.tagName === "BUTTON" && (event.key === "Enter" || event.key === " ")) return;
  if (target.getAttribute("role") === "tab" && /^Arrow(Left|Right)$/.test(event.key)) {
    const to = TABS.indexOf(tab) + (event.key === "ArrowLeft" ? -1 : 1);
    openTab(TABS[(to + TABS.length) % TABS.length]);
    $(`tab-${tab}`).focus();
    event.preventDefault();
    return;
  }
  const sorts = tab === "sort" || tab === "map";
  if (control) {
    const letter = event.key.toLowerCase();
    if (letter === "z" || letter === "y") {
      model.say({ do: letter === "y" || event.shiftKey ? "redo" : "undo" });
    } else if (letter === "a" && sorts) active().all();
    else return;
    event.preventDefault();
    return;
  }
  if (event.key === "?" || (event.key.toLowerCase() in { z: 1, y: 1 })) {
    COMMANDS[event.key]?.();
    event.preventDefault();
    return;
  }
  if (!sorts) return;
  if (event.key === "Escape" && !zoomIsOpen()) {
    active().clear();
    drawHead();
  } else if (/^[1-9]$/.test(event.key)) {
    const label = model.classes()[Number(event.key) - 1];
    if (label) mark(label);
    else say(`There is no class ${event.key} yet.`);
  } else if (!zoomIsOpen() && active().key(event)) {
    active().box.focus();
  } else if (event.key in COMMANDS) {
    if (zoomIsOpen() && "nasg[]lhdEnter".includes(event.key)) return;
    COMMANDS[event.key]();
  } else return;
  event.preventDefault();
}

function setUp() {
  for (const name of TABS) $(`tab-${name}`).onclick = () => openTab(name);
  $("undo").onclick = () => model.say({ do: "undo" });
  $("redo").onclick = () => model.say({ do: "redo" });
  $("help-button").onclick = showKeys;
  document.addEventListener("keydown", key);
  for (const one of [grid, mapGrid]) {
    one.addEventListener("selection", drawHead);
    one.addEventListener("zoom", () => openZoom(one));
  }
  plane.setUp();
  plane.addEventListener("selection", () => {
    mapGrid.at = 0;
    mapGrid.show([...plane.selected]);
    $("map-title").textContent = plane.selected.size
      ? `${many(plane.selected.size, unit())} selected` : "Nothing selected";
    if (plane.selected.size > 1) mapGrid.all();
  });
  setUpZoom();
  setUpLearn(() => {
    openTab("sort");
    open("doubtful", "");
  });
  model.addEventListener("change", (event) => {
    // What is being looked at stays in its place, but for photos of other clusters now.
    if (event instanceof CustomEvent && event.detail.moved && group.kind === "cluster") {
      grid.show(shownItems(), true);
    } else grid.refresh();
    if (tab === "map") mapGrid.refresh();
    $("grid").dataset.number = String(model.number);
    drawLater();
  });
  const trouble = () => {
    $("trouble").textContent = model.facts.trouble || "";
    $("trouble").hidden = !model.facts.trouble;
  };
  model.addEventListener("progress", trouble);
  model.addEventListener("change", trouble);
}

async function begin() {
  try {
    setUp();
    await model.load();
    document.title = `Review: ${model.facts.title}`;
    $("title").textContent = model.facts.title;
    grid.size = mapGrid.size = { photo: 1, row: 0, text: 3 }[model.kind];
    const first = model.groups().keys().next().value;
    await open("cluster", first ?? "");
    model.listen();
    nearAgain();
    document.body.dataset.ready = "true";
  } catch (error) {
    say(error.message, "error");
  }
}

begin();
