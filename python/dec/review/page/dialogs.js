// Questions and the list of keys.
import { $, h } from "./dom.js";

/**
 * Asks for a word, with those that there are as suggestions.
 * @param {string} title @param {string[]} words @param {string} [value]
 * @param {(word: string) => string} [shown] what a suggestion is called
 * @returns {Promise<string | null>} null: cancelled
 */
export function askWord(title, words, value = "", shown = (word) => word) {
  const dialog = $("ask");
  const input = $("ask-input");
  $("ask-title").textContent = title;
  input.value = value;
  $("ask-list").replaceChildren(...words.map((word) => h("option", { value: word })));
  return new Promise((resolve) => {
    /** @param {string | null} word */
    const end = (word) => {
      dialog.onclose = null;
      dialog.close();
      resolve(word);
    };
    $("ask-chips").replaceChildren(...words.slice(0, 60).map((word) => h("button", {
      type: "button", onclick: () => end(word),
    }, shown(word))));
    dialog.onclose = () => {
      resolve(dialog.returnValue === "ok" ? input.value : null);
    };
    dialog.returnValue = "";
    $("ask-cancel").onclick = () => end(null);
    dialog.showModal();
    input.select();
  });
}

const KEYS = [
  [["←", "→", "↑", "↓"], "go from photo to photo (Page Up, Page Down, Home, End)"],
  [["Space"], "select it; Shift with arrows or a click: a range"],
  [["Ctrl A", "Esc"], "select all, select nothing"],
  [["1", "…", "9"], "it is of this class (by the buttons above the photos)"],
  [["m"], "move it to a class by name"],
  [["o"], "a class of its own: a new name"],
  [["x"], "reject it: it belongs to no class"],
  [["c"], "the net's guess is right"],
  [["u"], "take back what was said of it itself"],
  [["Enter"], "large, with its neighbours and probabilities"],
  [["[", "]"], "the cluster or class before, after"],
  [["n"], "name the cluster"],
  [["a"], "accept the cluster: all that is left in it is right"],
  [["s"], "split the cluster in two (k-means on the code)"],
  [["g"], "merge the cluster with another"],
  [["l"], "least certain first, or the most typical"],
  [["h"], "hide what has been looked at"],
  [["d"], "the doubtful ones"],
  [["z", "y"], "undo, redo (Ctrl Z, Ctrl Shift Z too)"],
  [["+", "-"], "larger, smaller photos"],
  [["?"], "this list"],
];

export function showKeys() {
  $("help-keys").replaceChildren(...KEYS.flatMap(([keys, words]) => [
    h("dt", {}, .../** @type {string[]} */ (keys).map((key) => h("kbd", {}, key))),
    h("dd", {}, /** @type {string} */ (words)),
  ]));
  $("help").showModal();
}
