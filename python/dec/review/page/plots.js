// Small curves, as SVG.
import { svg } from "./dom.js";

const [W, H, LEFT, LOW] = [640, 240, 52, 28];
const HIGH = H - LOW - 12; // of the plane in which curves are

/** @param {number} low @param {number} high @param {(value: number) => string} words */
function axes(low, high, words) {
  const parts = [];
  for (let i = 0; i <= 4; i++) {
    const y = H - LOW - (HIGH * i) / 4;
    parts.push(svg("line", { class: "axis", x1: LEFT, x2: W - 8, y1: y, y2: y }));
    parts.push(svg("text", { x: LEFT - 8, y: y + 4, "text-anchor": "end" },
      words(low + ((high - low) * i) / 4)));
  }
  return parts;
}

/** @param {string} label @param {...Node} parts */
function plot(label, ...parts) {
  return svg("svg", { class: "plot", viewBox: `0 0 ${W} ${H}`, role: "img",
    "aria-label": label }, ...parts);
}

/** Accuracy by round, with its interval. @param {import("./learn.js").Round[]} rounds */
export function accuracies(rounds) {
  const low = Math.max(0, Math.floor(Math.min(...rounds.map((r) => r.low)) * 10) / 10);
  /** @param {number} i */
  const x = (i) => LEFT + 30 + (i * (W - LEFT - 70)) / Math.max(1, rounds.length - 1);
  /** @param {number} p */
  const y = (p) => H - LOW - (HIGH * (p - low)) / (1 - low);
  const points = rounds.map((r, i) => `${x(i)},${y(r.accuracy)}`).join(" ");
  return plot("Accuracy by round",
    ...axes(low, 1, (p) => `${Math.round(p * 100)}%`),
    svg("polyline", { class: "line", points }),
    ...rounds.flatMap((r, i) => [
      svg("line", { class: "range", x1: x(i), x2: x(i), y1: y(r.low), y2: y(r.high) }),
      svg("circle", { class: "point", cx: x(i), cy: y(r.accuracy), r: 4 }),
      svg("text", { x: x(i), y: H - 8, "text-anchor": "middle" }, String(r.round)),
    ]));
}

/** Values by iteration, from 0. @param {string} label @param {number[][]} points
 * @param {(value: number) => string} words */
export function curve(label, points, words) {
  const high = Math.max(...points.map((p) => p[1])) || 1;
  const [first, last] = [points[0][0], points[points.length - 1][0]];
  const at = points.map(([i, value]) => {
    const x = LEFT + ((i - first) * (W - LEFT - 12)) / Math.max(1, last - first);
    return `${x.toFixed(1)},${(H - LOW - (HIGH * value) / high).toFixed(1)}`;
  });
  return plot(label,
    ...axes(0, high, words),
    svg("polyline", { class: "line", points: at.join(" ") }),
    svg("text", { x: LEFT, y: H - 8 }, String(first)),
    svg("text", { x: W - 12, y: H - 8, "text-anchor": "end" }, String(last)));
}
