// The parts of the page, one of which is shown.
import { $ } from "./dom.js";
import { showLearn } from "./learn.js";
import { plane } from "./map.js";
import { grid, mapGrid, view } from "./view.js";

const TABS = ["sort", "map", "learn", "away"];

/** @param {string} to */
export function openTab(to) {
  view.tab = to;
  for (const name of TABS) {
    $(name).hidden = name !== to;
    $(`tab-${name}`).setAttribute("aria-selected", String(name === to));
    $(`tab-${name}`).tabIndex = name === to ? 0 : -1;
  }
  if (to === "map") {
    plane.load().then(() => plane.draw());
    mapGrid.refresh();
  }
  if (to === "learn" || to === "away") showLearn();
  if (to === "sort") grid.refresh();
}

/** @param {number} by */
export function nextTab(by) {
  openTab(TABS[(TABS.indexOf(view.tab) + by + TABS.length) % TABS.length]);
  $(`tab-${view.tab}`).focus();
}

export function setUpTabs() {
  for (const name of TABS) $(`tab-${name}`).onclick = () => openTab(name);
}
