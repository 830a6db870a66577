// What stands above the photos: what they are, what can be done, the classes.
import { acceptCluster, confirmGuess, mark, mergeCluster, move, nameCluster, ownClass,
  splitCluster } from "./answers.js";
import { $, colour, count, h, many } from "./dom.js";
import { near, open, shownItems } from "./groups.js";
import { REJECTED, model } from "./model.js";
import { grid, mapGrid, view } from "./view.js";

/** The other end first. */
export function turn() {
  view.least = !view.least;
  open(view.group.kind, view.group.key);
}

/** Hides what has been looked at, or shows it again. */
export function toggleHide() {
  view.hide = !view.hide;
  open(view.group.kind, view.group.key);
}

function title() {
  const { kind, key } = view.group;
  if (kind === "doubtful") return "Doubtful: the least certain of what nobody has looked at";
  if (kind === "rejected") return "Rejected";
  if (kind === "class") return `Class ${key}`;
  const name = model.name.get(key);
  return `Cluster ${key}${name ? `: ${name === REJECTED ? "rejected" : name}` : ""}`;
}

/** What was computed of the open group, and for which: a pass over its items.
 * @type {{ items: number[] | null, mean: number }} */
const known = { items: null, mean: -1 };

/** The mean confidence of the items that are shown, -1 if it is not known. */
function mean() {
  if (known.items !== grid.items) {
    known.items = grid.items;
    const all = grid.items.map((i) => model.confidence[i]).filter((p) => p >= 0);
    known.mean = all.length ? all.reduce((a, b) => a + b) / all.length / 1000 : -1;
  }
  return known.mean;
}

export function drawHead() {
  const { kind, key } = view.group;
  const size = kind === "cluster" ? (model.groups().get(key) || []).length : grid.items.length;
  const facts = [many(size, model.unit)];
  if (view.hide && grid.items.length < size) facts.push(`${count(grid.items.length)} shown`);
  if (mean() >= 0 && kind !== "doubtful") {
    facts.push(`mean ${model.facts.measure} ${mean().toFixed(2)}`);
  }
  if (grid.selected.size) facts.push(`${count(grid.selected.size)} selected`);
  const line = h("p", { className: "soft" }, facts.join(" · "));
  if (kind === "cluster" && (near[key] || []).length) {
    line.append(" · near: ", ...near[key].map((other) => h("button", { className: "linked",
      "aria-label": `Cluster ${other}`, onclick: () => open("cluster", other) }, other)));
  }
  const bar = h("div", { className: "bar" });
  /** @param {string} words @param {string} shortcut @param {() => void} work
   * @param {string} [pressed] */
  const add = (words, shortcut, work, pressed) => bar.append(h("button", { onclick: work,
    "aria-keyshortcuts": shortcut, "aria-pressed": pressed }, words, h("kbd", {}, shortcut)));
  if (kind === "cluster" && size) {
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
    add("Least certain first", "l", turn, String(view.least));
    add("Hide looked at", "h", toggleHide, String(view.hide));
  }
  $("group-head").replaceChildren(h("h2", {}, title()), line, bar);
}

export function drawClasses() {
  for (const [box, to] of [[$("classes"), grid], [$("map-classes"), mapGrid]]) {
    box.replaceChildren(...model.classes().slice(0, 40).map((label, i) => {
      const dot = h("span", { className: "dot" });
      dot.style.background = colour(i);
      return h("button", { onclick: () => mark(label, to), title: label }, dot, label,
        i < 9 ? h("kbd", {}, String(i + 1)) : null);
    }));
  }
}

/** Photos go and come as clusters are split and merged; others stay in their places. */
export function keepPlace() {
  grid.show(shownItems(), true);
}
