// The page: its parts are put together, and drawn when something has changed.
import { showKeys } from "./dialogs.js";
import { $, many, say } from "./dom.js";
import { drawGroups, findNear, open } from "./groups.js";
import { drawClasses, drawHead, keepPlace } from "./head.js";
import { listenToKeys } from "./keys.js";
import { setUpLearn } from "./learn.js";
import { plane } from "./map.js";
import { model } from "./model.js";
import { openTab, setUpTabs } from "./tabs.js";
import { grid, mapGrid, view } from "./view.js";
import { openZoom, setUpZoom } from "./zoom.js";

const PAUSE = 120; // milliseconds without an answer, or so

function draw() {
  drawGroups();
  drawHead();
  drawClasses();
  $("counts").dataset.number = String(model.number);
  $("undo").disabled = !model.undo;
  $("redo").disabled = !model.redo;
}

let drawing = false;

const whenIdle = "requestIdleCallback" in window
  ? (/** @type {() => void} */ work) => window.requestIdleCallback(work, { timeout: PAUSE })
  : (/** @type {() => void} */ work) => setTimeout(work, 50);

/** Draws what stands around the photos, once these have been drawn. */
function drawLater() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => whenIdle(() => {
    drawing = false;
    draw();
  }));
}

/** @param {Event} event */
function changed(event) {
  // What is being looked at stays in its place, but for photos of other clusters now.
  const moved = event instanceof CustomEvent && event.detail.moved;
  if (moved && view.group.kind === "cluster") keepPlace();
  else grid.refresh();
  if (view.tab === "map") mapGrid.refresh();
  if (grid.box.dataset.number !== String(model.number)) {
    grid.box.dataset.number = String(model.number);
  }
  drawLater();
}

function showTrouble() {
  $("trouble").textContent = model.facts.trouble || "";
  $("trouble").hidden = !model.facts.trouble;
}

function setUp() {
  setUpTabs();
  setUpZoom();
  setUpLearn(() => {
    openTab("sort");
    open("doubtful", "");
  });
  listenToKeys();
  $("undo").onclick = () => model.say({ do: "undo" });
  $("redo").onclick = () => model.say({ do: "redo" });
  $("help-button").onclick = showKeys;
  for (const one of [grid, mapGrid]) {
    one.addEventListener("selection", drawHead);
    one.addEventListener("zoom", () => openZoom(one));
  }
  plane.setUp();
  plane.addEventListener("selection", () => {
    mapGrid.at = 0;
    mapGrid.show([...plane.selected]);
    $("map-title").textContent = plane.selected.size
      ? `${many(plane.selected.size, model.unit)} selected` : "Nothing selected";
    if (plane.selected.size > 1) mapGrid.all();
  });
  view.addEventListener("change", draw);
  model.addEventListener("change", changed);
  for (const what of ["progress", "change"]) model.addEventListener(what, showTrouble);
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
    document.body.dataset.ready = "true";
    model.listen();
    findNear();
  } catch (error) {
    say(error.message, "error");
  }
}

begin();
