// The map: every row a point, drawn by hand into the pixels of a canvas.
import { $, ask, colour, count } from "./dom.js";
import { model } from "./model.js";

const NEAR = 12; // pixels within which a pointer means a point

class Plane extends EventTarget {
  constructor() {
    super();
    this.ready = false;
    this.points = new Float32Array(0);
    this.colour = "cluster";
    this.zoom = 1;
    this.x = 0.5;
    this.y = 0.5;
    this.lassoing = false;
    /** @type {number[][]} */
    this.lasso = [];
    /** @type {Set<number>} */
    this.selected = new Set();
    /** @type {Map<number, number[]>} */
    this._held = new Map();
    this._moved = 0; // pixels since the pointer went down
    this._loading = false;
    this._asked = false;
    /** @type {HTMLCanvasElement} */
    this.canvas = $("canvas");
  }

  setUp() {
    const at = this.canvas;
    at.addEventListener("pointerdown", (event) => this._down(event));
    at.addEventListener("pointermove", (event) => this._move(event));
    at.addEventListener("pointerup", (event) => this._up(event));
    at.addEventListener("pointercancel", (event) => this._up(event));
    at.addEventListener("pointerleave", () => { $("map-hover").hidden = true; });
    at.addEventListener("wheel", (event) => {
      event.preventDefault();
      this._zoom(Math.exp(-event.deltaY / 400), event.offsetX, event.offsetY);
    }, { passive: false });
    at.addEventListener("keydown", (event) => this._key(event));
    new ResizeObserver(() => this.draw()).observe(at);
    $("map-colour").onchange = () => {
      this.colour = $("map-colour").value;
      this.draw();
    };
    $("lasso").onclick = () => {
      this.lassoing = !this.lassoing;
      $("lasso").setAttribute("aria-pressed", String(this.lassoing));
    };
    $("map-home").onclick = () => this.home();
    model.addEventListener("change", () => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  /** Asks for the points, once; the server may have to lay them out first. */
  async load() {
    if (this.ready || this._loading) return;
    this._loading = true;
    $("map-how").textContent = "laying the photos out …";
    try {
      const found = await ask("/api/map");
      this.points = Float32Array.from(found.plane, (/** @type {number} */ value) => value / 65535);
      for (const i of model.gone) this.points[2 * i] = NaN; // nowhere to be seen
      this.ready = true;
      $("map-how").textContent = `${count(model.n)} points: ${found.how}`;
      this.draw();
      this.dispatchEvent(new Event("ready"));
    } catch (error) {
      $("map-how").textContent = error.message;
    }
    this._loading = false;
  }

  home() {
    [this.zoom, this.x, this.y] = [1, 0.5, 0.5];
    this.draw();
  }

  draw() {
    if (this._asked) return;
    this._asked = true;
    requestAnimationFrame(() => {
      this._asked = false;
      this._paint();
    });
  }

  /** A picture of all, with one point marked.
   * @param {CanvasRenderingContext2D} context @param {number} width @param {number} height
   * @param {number} item */
  small(context, width, height, item) {
    const kept = [this.zoom, this.x, this.y];
    [this.zoom, this.x, this.y] = [1, 0.5, 0.5];
    this._dots(context, width, height, width / Math.max(width, 1));
    const [x, y] = this._to(item, width, height);
    [this.zoom, this.x, this.y] = kept;
    context.lineWidth = 3;
    context.strokeStyle = css("--ink");
    context.beginPath();
    context.arc(x, y, 8, 0, 7);
    context.stroke();
  }

  _paint() {
    const canvas = this.canvas;
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const [w, h] = [canvas.clientWidth, canvas.clientHeight];
    if (!w || !h || !this.ready) return; // not to be seen now
    if (canvas.width !== Math.round(w * ratio) || canvas.height !== Math.round(h * ratio)) {
      canvas.width = Math.round(w * ratio);
      canvas.height = Math.round(h * ratio);
    }
    const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    this._dots(context, canvas.width, canvas.height, ratio);
    if (this.lasso.length > 1) {
      context.strokeStyle = css("--ink");
      context.lineWidth = 2 * ratio;
      context.setLineDash([6, 4]);
      context.beginPath();
      for (const [x, y] of this.lasso) context.lineTo(x * ratio, y * ratio);
      context.closePath();
      context.stroke();
      context.setLineDash([]);
    }
  }

  /** @param {CanvasRenderingContext2D} context @param {number} width @param {number} height
   * @param {number} ratio of the canvas's pixels to those of the page */
  _dots(context, width, height, ratio) {
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    pixels.fill(word(css("--card")));
    const n = this.points.length / 2;
    const large = n < 3000 ? 3 : n < 20000 ? 2 : 1;
    const room = Math.min(1, Math.min(width, height) / (600 * ratio)); // less on a phone
    const r = Math.round(Math.min(8, large * Math.sqrt(this.zoom)) * ratio * room);
    const marked = word(css("--ink"));
    const some = this.selected.size > 0;
    const tint = this._colours();
    const scale = this._scale(width, height);
    const [x0, y0] = [width / 2 - this.x * scale, height / 2 - this.y * scale];
    /** @param {number} i @param {number} half @param {number} value */
    const dot = (i, half, value) => {
      const x = Math.round(x0 + this.points[2 * i] * scale);
      const y = Math.round(y0 + this.points[2 * i + 1] * scale);
      if (x < half || y < half || x >= width - half || y >= height - half) return;
      const round = half > 1 ? half * half + 1 : 9;
      for (let b = -half; b <= half; b++) {
        for (let a = -half; a <= half; a++) {
          if (a * a + b * b <= round) pixels[(y + b) * width + x + a] = value;
        }
      }
    };
    const half = Math.max(1, r);
    for (let i = 0; i < n; i++) dot(i, half, tint(i));
    if (some) {
      for (const i of this.selected) dot(i, half + 2, marked);
      for (const i of this.selected) dot(i, half, tint(i));
    }
    context.putImageData(image, 0, 0);
  }

  /** What colour a point has. @returns {(i: number) => number} */
  _colours() {
    const grey = word(css("--line"));
    if (this.colour === "class") {
      const at = new Map(model.classes().map((name, i) => [name, word(colour(i))]));
      return (i) => at.get(model.classOf(i)) ?? grey;
    }
    if (this.colour === "doubt") {
      const steps = [...Array(101).keys()].map((p) => word(warm(p / 100)));
      const net = model.guesses;
      return (i) => {
        const sure = net && net.margin[i] >= 0 ? net.margin[i] : model.confidence[i];
        return sure < 0 ? grey : steps[Math.round(sure / 10)];
      };
    }
    const shades = model.clusters.map((_, i) => word(colour(i)));
    return (i) => shades[model.cluster[i]];
  }

  /** Pixels for a length of 1. @param {number} width @param {number} height */
  _scale(width, height) {
    return Math.min(width, height) * 0.94 * this.zoom;
  }

  /** Where an item lies. @param {number} i @param {number} width @param {number} height */
  _to(i, width, height) {
    const scale = this._scale(width, height);
    return [
      width / 2 + (this.points[2 * i] - this.x) * scale,
      height / 2 + (this.points[2 * i + 1] - this.y) * scale,
    ];
  }

  /** The point at a place of the canvas, -1 for none. @param {number} x @param {number} y */
  _nearest(x, y) {
    const [w, h] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const scale = this._scale(w, h);
    const [px, py] = [this.x + (x - w / 2) / scale, this.y + (y - h / 2) / scale];
    let best = (NEAR / scale) ** 2;
    let found = -1;
    for (let i = 0; i < this.points.length / 2; i++) {
      const d = (this.points[2 * i] - px) ** 2 + (this.points[2 * i + 1] - py) ** 2;
      if (d < best) [best, found] = [d, i];
    }
    return found;
  }

  /** @param {number} by @param {number} x @param {number} y */
  _zoom(by, x, y) {
    const [w, h] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const before = this._scale(w, h);
    this.zoom = Math.max(0.5, Math.min(200, this.zoom * by));
    const after = this._scale(w, h);
    this.x += (x - w / 2) * (1 / before - 1 / after);
    this.y += (y - h / 2) * (1 / before - 1 / after);
    this.draw();
  }

  /** @param {PointerEvent} event */
  _down(event) {
    this.canvas.setPointerCapture(event.pointerId);
    this._held.set(event.pointerId, [event.offsetX, event.offsetY]);
    this._moved = 0;
    this.lasso = this._held.size === 1 && (event.shiftKey || this.lassoing)
      ? [[event.offsetX, event.offsetY]] : [];
  }

  /** @param {PointerEvent} event */
  _move(event) {
    const before = this._held.get(event.pointerId);
    if (!before) {
      this._hover(event);
      return;
    }
    const now = [event.offsetX, event.offsetY];
    const [w, h] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const others = [...this._held].filter(([id]) => id !== event.pointerId);
    this._moved += Math.abs(now[0] - before[0]) + Math.abs(now[1] - before[1]);
    if (this.lasso.length) {
      this.lasso.push(now);
    } else if (others.length) { // two fingers
      const [, other] = others[0];
      /** @param {number[]} p */
      const far = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1;
      this._zoom(far(now) / far(before), other[0], other[1]);
    } else {
      this.x -= (now[0] - before[0]) / this._scale(w, h);
      this.y -= (now[1] - before[1]) / this._scale(w, h);
    }
    this._held.set(event.pointerId, now);
    this.draw();
  }

  /** @param {PointerEvent} event */
  _up(event) {
    this._held.delete(event.pointerId);
    if (this.lasso.length > 2) this._select(this._inside(this.lasso));
    else if (event.type === "pointerup" && this._moved < 5) {
      const found = this._nearest(event.offsetX, event.offsetY);
      this._select(found < 0 ? [] : [found]);
    }
    this.lasso = [];
    this.draw();
  }

  /** @param {number[][]} lasso */
  _inside(lasso) {
    const [w, h] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const found = [];
    for (let i = 0; i < this.points.length / 2; i++) {
      const [x, y] = this._to(i, w, h);
      let inside = false;
      for (let a = 0, b = lasso.length - 1; a < lasso.length; b = a++) {
        const [[xa, ya], [xb, yb]] = [lasso[a], lasso[b]];
        if (ya > y !== yb > y && x < ((xb - xa) * (y - ya)) / (yb - ya) + xa) inside = !inside;
      }
      if (inside) found.push(i);
    }
    return found;
  }

  /** @param {number[]} items */
  _select(items) {
    this.selected = new Set(items);
    this.dispatchEvent(new Event("selection"));
  }

  /** @param {PointerEvent} event */
  _hover(event) {
    const box = $("map-hover");
    const found = this.ready ? this._nearest(event.offsetX, event.offsetY) : -1;
    box.hidden = found < 0 || model.kind === "text";
    if (box.hidden) return;
    const path = `/thumbnail/${found}`;
    if (!box.src.endsWith(path)) box.src = path;
    const [w, h] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const x = event.offsetX + (event.offsetX > w - 150 ? -134 : 14);
    const y = event.offsetY + (event.offsetY > h - 120 ? -104 : 14);
    box.style.transform = `translate(${x}px, ${y}px)`;
  }

  /** @param {KeyboardEvent} event */
  _key(event) {
    const [w, h] = [this.canvas.clientWidth, this.canvas.clientHeight];
    const step = 40 / this._scale(w, h);
    /** @type {Record<string, number[]>} */
    const ways = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step],
      ArrowDown: [0, step] };
    if (event.key in ways) {
      this.x += ways[event.key][0];
      this.y += ways[event.key][1];
      this.draw();
    } else if (event.key === "+" || event.key === "-") {
      this._zoom(event.key === "+" ? 1.25 : 0.8, w / 2, h / 2);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

/** A colour of the page's, as "#rrggbb" or "#rgb". @param {string} name @returns {string} */
function css(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/** Such a colour as a word of a canvas's pixels (little-endian, as all browsers are).
 * @param {string} text */
function word(text) {
  let hex = text.slice(1);
  if (hex.length === 3) hex = [...hex].map((c) => c + c).join("");
  const value = parseInt(hex, 16);
  return (0xff000000 | ((value & 0xff) << 16) | (value & 0xff00) | (value >> 16)) >>> 0;
}

/** From doubt (red) by yellow to certain (blue). @param {number} p from 0 to 1 */
function warm(p) {
  const stops = [[184, 50, 42], [242, 193, 78], [47, 109, 179]];
  const at = Math.min(1.999, p * 2);
  const [a, b] = [stops[Math.floor(at)], stops[Math.floor(at) + 1]];
  const mix = a.map((v, i) => Math.round(v + (b[i] - v) * (at % 1)));
  return `#${mix.map((v) => v.toString(16).padStart(2, "0")).join("")}`;
}

export const plane = new Plane();
