// One photo, large: where it lies, what is near it, what the net thinks.
import { $, ask, h, say } from "./dom.js";
import { plane } from "./map.js";
import { REJECTED, model } from "./model.js";

/** @type {import("./grid.js").Grid | null} */
let grid = null;
let shown = -1;

/** @param {import("./grid.js").Grid} from */
export function openZoom(from) {
  if (!from.items.length) return;
  grid = from;
  if (!$("zoom").open) $("zoom").showModal();
  $("zoom-close").focus();
  plane.load();
  show(grid.items[grid.at]);
}

export function zoomIsOpen() {
  return $("zoom").open;
}

/** Shows what stands where the grid is now: after an answer, or a step. */
export function followGrid() {
  if (grid && zoomIsOpen()) show(grid.items[grid.at]);
}

/** @param {number} item */
async function show(item) {
  if (item === undefined) return;
  const same = shown === item;
  shown = item;
  const said = model.classOf(item);
  const cluster = model.clusters[model.cluster[item]];
  const p = model.confidence[item];
  const words = [`Cluster ${cluster}`];
  if (p >= 0) words.push(`${model.facts.measure} ${(p / 1000).toFixed(3)}`);
  words.push(said === REJECTED ? "rejected" : said ? `class ${said}` : "no class yet");
  words.push(model.lookedAt(item) ? "looked at" : "not looked at");
  $("zoom-where").textContent = words.join(" · ");
  $("zoom-name").textContent = model.nameOf(item);
  if (same && $("zoom-picture").childElementCount) return;
  picture(item);
  $("zoom-guesses").replaceChildren();
  $("zoom-near").replaceChildren();
  $("zoom-near-title").hidden = true;
  try {
    const found = await ask(`/api/item/${item}`);
    if (shown !== item) return;
    $("zoom-name").textContent = found.name;
    if (found.text) {
      $("zoom-picture").replaceChildren(h("pre", {}, h("b", {}, found.text.words.join(" · ")),
        `\n\n${found.text.lines || "(its file is not there)"}`));
    }
    $("zoom-guesses").replaceChildren(...found.guesses.map(probability));
    $("zoom-near-title").hidden = !found.near.length;
    $("zoom-near").replaceChildren(...found.near.map(
      (/** @type {[number, number]} */ [other]) => button(other)));
  } catch (error) {
    say(error.message, "error");
  }
  place(item);
}

/** @param {[string, number]} guess */
function probability([label, p]) {
  return h("div", { className: "prob" }, h("span", {}, label),
    h("span", {}, `${(p * 100).toFixed(1)}%`),
    h("progress", { max: 1, value: p, "aria-label": `Probability of ${label}` }));
}

/** @param {number} item */
function picture(item) {
  const box = $("zoom-picture");
  box.classList.toggle("pixels", model.kind === "row");
  if (model.kind === "text") {
    box.replaceChildren(h("pre", {}, "…"));
    return;
  }
  const image = h("img", { alt: model.nameOf(item), src: `/photo/${item}` });
  image.addEventListener("error", async () => {
    const answer = await fetch(`/photo/${item}`).catch(() => null);
    const words = answer ? (await answer.json().catch(() => ({}))).error : "";
    if (shown === item) box.replaceChildren(h("p", {}, words || "It cannot be shown."));
  });
  box.replaceChildren(image);
}

/** @param {number} item */
function button(item) {
  const node = h("button", { title: model.nameOf(item),
    "aria-label": `${model.nameOf(item)}, ${model.classOf(item) || "no class"}`,
    onclick: () => show(item) });
  if (model.kind === "text") node.append(model.nameOf(item));
  else node.append(h("img", { alt: "", src: `/thumbnail/${item}` }));
  return node;
}

/** @param {number} item */
function place(item) {
  const canvas = $("zoom-map");
  canvas.hidden = !plane.ready;
  if (!plane.ready) return;
  const context = canvas.getContext("2d");
  plane.small(context, canvas.width, canvas.height, item);
}

/** @param {number} by */
function step(by) {
  if (!grid) return;
  grid.go(grid.at + by);
  followGrid();
}

export function setUpZoom() {
  plane.addEventListener("ready", () => { if (zoomIsOpen()) place(shown); });
  $("zoom-back").onclick = () => step(-1);
  $("zoom-on").onclick = () => step(1);
  $("zoom-close").onclick = () => $("zoom").close();
  $("zoom").addEventListener("close", () => {
    shown = -1;
    $("zoom-picture").replaceChildren();
    if (grid) grid.box.focus();
  });
  $("zoom").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
      step(event.key === "ArrowLeft" ? -1 : 1);
      event.preventDefault();
      event.stopPropagation();
    } else if (event.key === "Enter" && /** @type {HTMLElement} */ (event.target).tagName !== "BUTTON") {
      $("zoom").close();
    }
  });
}
