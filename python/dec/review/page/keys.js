// The keyboard: which key does what, and when it does nothing.
import { acceptCluster, confirmGuess, mark, mergeCluster, move, nameCluster, ownClass,
  splitCluster } from "./answers.js";
import { showKeys } from "./dialogs.js";
import { $, say } from "./dom.js";
import { open, step } from "./groups.js";
import { toggleHide, turn } from "./head.js";
import { REJECTED, model } from "./model.js";
import { nextTab } from "./tabs.js";
import { view } from "./view.js";
import { openZoom, zoomIsOpen } from "./zoom.js";

/** @type {Record<string, () => unknown>} */
const COMMANDS = {
  n: nameCluster, a: acceptCluster, s: splitCluster, g: mergeCluster, m: move, o: ownClass,
  c: confirmGuess, l: turn, h: toggleHide,
  x: () => mark(REJECTED), u: () => mark(""), d: () => open("doubtful", ""),
  z: () => model.say({ do: "undo" }), y: () => model.say({ do: "redo" }),
  Z: () => model.say({ do: "redo" }), "?": showKeys,
  "[": () => step(-1), "]": () => step(1),
  Enter: () => openZoom(view.grid),
};
const EVERYWHERE = ["?", "z", "y", "Z"];
const NOT_ENLARGED = ["n", "a", "s", "g", "[", "]", "l", "h", "d", "Enter"];

/** @param {KeyboardEvent} event */
function key(event) {
  const target = /** @type {HTMLElement} */ (event.target);
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(target.tagName);
  if (typing || $("ask").open || $("help").open || event.altKey) return;
  if (target.tagName === "BUTTON" && (event.key === "Enter" || event.key === " ")) return;
  if (done(event, target)) event.preventDefault();
}

/** False for a key that means nothing here. @param {KeyboardEvent} event
 * @param {HTMLElement} target */
function done(event, target) {
  const sorts = view.tab === "sort" || view.tab === "map";
  if (target.getAttribute("role") === "tab" && /^Arrow(Left|Right)$/.test(event.key)) {
    nextTab(event.key === "ArrowLeft" ? -1 : 1);
  } else if (event.ctrlKey || event.metaKey) {
    return withControl(event, sorts);
  } else if (EVERYWHERE.includes(event.key)) {
    COMMANDS[event.key]();
  } else if (!sorts) {
    return false;
  } else if (event.key === "Escape" && !zoomIsOpen()) {
    view.grid.clear();
  } else if (/^[1-9]$/.test(event.key)) {
    const label = model.classes()[Number(event.key) - 1];
    if (label) mark(label);
    else say(`There is no class ${event.key} yet.`);
  } else if (!zoomIsOpen() && view.grid.key(event)) {
    view.grid.box.focus();
  } else if (event.key in COMMANDS) {
    if (zoomIsOpen() && NOT_ENLARGED.includes(event.key)) return false;
    COMMANDS[event.key]();
  } else {
    return false;
  }
  return true;
}

/** @param {KeyboardEvent} event @param {boolean} sorts */
function withControl(event, sorts) {
  const letter = event.key.toLowerCase();
  if (letter === "z" || letter === "y") {
    model.say({ do: letter === "y" || event.shiftKey ? "redo" : "undo" });
  } else if (letter === "a" && sorts) {
    view.grid.all();
  } else {
    return false;
  }
  return true;
}

export function listenToKeys() {
  document.addEventListener("keydown", key);
}
