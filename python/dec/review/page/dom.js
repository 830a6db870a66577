// Small helpers: elements with text, never HTML from data; requests; words for people.

/** The element with this id. @param {string} id @returns {any} */
export const $ = (id) => document.getElementById(id);

/**
 * An element; children are nodes or texts.
 * @param {string} tag
 * @param {Record<string, any>} [facts] properties, or attributes where they have a dash
 * @param {...(Node | string | null)} children
 * @returns {any}
 */
export function h(tag, facts = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(facts)) {
    if (value === null || value === undefined) continue;
    if (key.includes("-") || key === "role") node.setAttribute(key, String(value));
    else /** @type {any} */ (node)[key] = value;
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** An SVG element. @param {string} tag @param {Record<string, any>} facts
 * @param {...(Node | string)} children */
export function svg(tag, facts, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [key, value] of Object.entries(facts)) node.setAttribute(key, String(value));
  node.append(...children);
  return node;
}

/** JSON from the server; its own words where it refuses.
 * @param {string} path @param {any} [body] */
export async function ask(path, body) {
  let answer;
  try {
    answer = await fetch(path, body === undefined ? {} : {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error("The server does not answer: is dec review still running? " +
      "Nothing that was confirmed is lost.");
  }
  const text = await answer.text();
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    throw new Error(text || `The server says ${answer.status}.`);
  }
  if (!answer.ok) throw new Error(found.error || `The server says ${answer.status}.`);
  return found;
}

/** Says something at the bottom of the page. @param {string} words @param {string} [kind] */
export function say(words, kind = "") {
  const line = h("p", { className: kind }, words);
  $("status").replaceChildren(line);
  setTimeout(() => line.remove(), kind === "error" ? 9000 : 3500);
}

/** @param {number} number */
export const count = (number) => number.toLocaleString("en");

/** @param {number} number @param {string} word */
export const many = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

const COLOURS = ["#3b76b5", "#f28e2b", "#d94a4c", "#4fa04a", "#9d5fc0", "#8f6a4f",
  "#f58fb5", "#2fb5c0", "#d6b012", "#7a8794"];

/** A colour of the report's for a number. @param {number} i @returns {string} */
export function colour(i) {
  if (i < 0) return "#9aa5b1";
  if (i < COLOURS.length) return COLOURS[i];
  const hue = (i * 137.508) % 360;
  return hsl(hue, 0.55, i % 2 ? 0.45 : 0.6);
}

/** @param {number} hue @param {number} s @param {number} l */
function hsl(hue, s, l) {
  /** @param {number} n */
  const part = (n) => {
    const k = (n + hue / 30) % 12;
    const value = l - s * Math.min(l, 1 - l) * Math.max(-1, Math.min(k - 3, 9 - k, 1));
    return Math.round(value * 255).toString(16).padStart(2, "0");
  };
  return `#${part(0)}${part(8)}${part(4)}`;
}
