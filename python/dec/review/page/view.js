// What can be seen: which part of the page, which photos in its grid.
import { $ } from "./dom.js";
import { Grid } from "./grid.js";

/** A cluster, a class, "doubtful" or "rejected".
 * @typedef {{ kind: string, key: string }} Group */

class View extends EventTarget {
  constructor() {
    super();
    this.tab = "sort";
    /** @type {Group} */
    this.group = { kind: "cluster", key: "" };
    this.least = false; // certain first
    this.hide = false; // what has been looked at
  }

  /** The grid that keys are about. */
  get grid() {
    return this.tab === "map" ? mapGrid : grid;
  }

  /** What stands around the photos is to be drawn anew. */
  changed() {
    this.dispatchEvent(new Event("change"));
  }
}

export const grid = new Grid($("grid"), "Photos");
export const mapGrid = new Grid($("map-grid"), "Selected photos");
mapGrid.empty = "Click a point, or draw around some with the lasso.";
export const view = new View();
