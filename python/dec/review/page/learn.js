// Training in the background, what came of it, and taking the labels away.
import { $, ask, count, h, many, say, svg } from "./dom.js";
import { REJECTED, model } from "./model.js";

export function setUpLearn(toDoubtful) {
  $("train").onclick = async () => {
    try {
      const found = await ask("/api/train", { experiment: $("experiment").value });
      Object.assign(model.facts, found);
      showWork();
    } catch (error) {
      say(error.message, "error");
    }
  };
  $("stop").onclick = () => ask("/api/stop", {}).catch((error) => say(error.message, "error"));
  $("to-doubtful").onclick = toDoubtful;
  for (const button of document.querySelectorAll("#away [data-kind]")) {
    button.addEventListener("click", async () => {
      const kind = /** @type {HTMLElement} */ (button).dataset.kind;
      try {
        const facts = { kind, guesses: $("away-guesses").checked };
        Object.assign(model.facts, await ask("/api/export", facts));
        showWork();
      } catch (error) {
        say(error.message, "error");
      }
    });
  }
  let before = "";
  model.addEventListener("progress", () => {
    const job = model.facts.job;
    const now = job ? `${job.what} ${job.state}` : "";
    if (before.endsWith("running") && !now.endsWith("running")) ended(job);
    before = now;
    showWork();
  });
  model.addEventListener("change", () => {
    if (!$("learn").hidden || !$("away").hidden) showLearn();
  });
}

function ended(job) {
  const what = job.what === "train" ? "Training" : "Export";
  const words = { done: "is done", failed: "has failed", stopped: "was stopped" }[job.state];
  say(`${what} ${words}.`, job.state === "failed" ? "error" : "");
  if (!$("learn").hidden) showLearn();
}

export async function showLearn() {
  const select = $("experiment");
  if (!select.childElementCount) {
    select.append(...model.facts.experiments.map((name) => h("option", { value: name }, name)));
  }
  const classes = model.classes();
  let with_ = 0;
  let seen = 0;
  for (const i of model.there) {
    const label = model.classOf(i);
    if (label && label !== REJECTED) with_ += 1;
    if (model.lookedAt(i)) seen += 1;
  }
  const facts = `${many(with_, "photo")} of ${count(model.there.length)} ${with_ === 1 ? "has" : "have"} ` +
    `one of ${many(classes.length, "class").replace("classs", "classes")}; ` +
    `${count(seen)} were looked at.`;
  $("learn-why").textContent = model.facts.trainable
    ? `${facts} As dec loop next does, a net learns these classes, and names every ` +
      "photo. You can go on sorting meanwhile; what you say then counts in the next round."
    : "dec loop trains on photos; these rows are none.";
  $("away-what").textContent = `${facts} All goes into the folder export/ beside the ` +
    "journal; an older export is replaced.";
  showWork();
  try {
    showRounds(await ask("/api/rounds"));
  } catch (error) {
    say(error.message, "error");
  }
}

export function showWork() {
  const { job, elsewhere, trainable } = model.facts;
  const running = Boolean(job && job.state === "running");
  $("train").disabled = running || elsewhere || !trainable;
  $("stop").hidden = !running;
  for (const button of document.querySelectorAll("#away [data-kind]")) {
    /** @type {HTMLButtonElement} */ (button).disabled = running;
  }
  const training = job && job.what === "train";
  fill($("work"), training ? job : null, elsewhere);
  fill($("away-work"), job && !training ? job : null, false);
  $("lines").hidden = !training;
  if (training) {
    const box = $("lines");
    const end = box.scrollTop + box.clientHeight > box.scrollHeight - 10;
    box.textContent = job.lines.join("\n");
    if (end) box.scrollTop = box.scrollHeight;
  }
  const points = training ? job.loss : [];
  $("loss").hidden = points.length < 2;
  if (points.length > 1) {
    const caption = $("loss").querySelector("figcaption");
    $("loss").replaceChildren(lines(points), caption);
  }
}

function fill(box, job, elsewhere) {
  if (!job) {
    box.replaceChildren(elsewhere
      ? h("p", {}, "dec loop next is at work in a shell; wait for it.") : "");
    return;
  }
  const words = { running: "at work", done: "done", failed: "failed",
    stopped: "stopped; the same button goes on from here" }[job.state];
  const parts = [h("p", {}, `${job.what === "train" ? "Training" : "Export"}: ${words}, ` +
    `${Math.round(job.seconds)} s.`)];
  if (job.bar) {
    const { what, percent, done, total, left } = job.bar;
    const whole = percent === "100"; // and what comes next has no bar
    parts.push(h("p", { className: "soft" }, whole ? `${what}: all ${total}; going on …`
      : `${what}: ${done} of ${total}, ${percent}%` + (left.includes("?") ? "" : `, ${left} left`)));
    parts.push(h("progress", whole ? { "aria-label": "at work" }
      : { max: 100, value: Number(percent), "aria-label": what }));
  }
  if (job.what !== "train" || job.state === "failed") {
    parts.push(h("pre", {}, job.lines.slice(-8).join("\n")));
  }
  box.replaceChildren(...parts);
}

const percent = (share) => `${(share * 100).toFixed(1)}%`;

/** How many more reviews are worth it, in words. */
function expected({ left, wrong, half }) {
  const others = left === 1 ? "the one photo that nobody has looked at"
    : `the ${count(left)} photos that nobody has looked at`;
  if (wrong < 1) return `By the net's own probabilities hardly any guess for ${others} is wrong.`;
  return `By the net's own probabilities some ${count(Math.round(wrong))} of ${others} have a ` +
    `wrong guess; the ${count(half)} most doubtful hold half of these mistakes.`;
}

function showRounds({ rounds, worth }) {
  $("to-doubtful").hidden = !model.guesses;
  $("worth").textContent = !rounds.length
    ? "No round yet: name clusters of at least two classes, then train."
    : worth && worth.left ? `${expected(worth)} Test photos are held out of training; ` +
      "their classes are those of clusters and reviews, so the accuracy is as good as these are."
      : "Every photo has been looked at.";
  $("curve").hidden = rounds.length < 2;
  if (rounds.length > 1) {
    $("curve").replaceChildren(curve(rounds),
      h("figcaption", {}, "Test photos right, by round, with the 95% interval"));
  }
  if (!rounds.length) {
    $("rounds").replaceChildren();
    return;
  }
  const head = ["round", "photos with a class", "looked at", "test photos", "right (95%)"];
  $("rounds").replaceChildren(h("table", {},
    h("thead", {}, h("tr", {}, ...head.map((word) => h("th", { scope: "col" }, word)))),
    h("tbody", {}, ...rounds.map((r) => h("tr", {},
      h("td", {}, String(r.round)), h("td", {}, count(r.photos)),
      h("td", {}, r.reviewed === null ? "?" : count(r.reviewed)), h("td", {}, count(r.n)),
      h("td", {}, `${percent(r.accuracy)} (${percent(r.low)} to ${percent(r.high)})`))))));
}

const [W, H, LEFT, LOW] = [640, 240, 52, 28];

function axes(low, high, words) {
  const parts = [];
  for (let i = 0; i <= 4; i++) {
    const value = low + ((high - low) * i) / 4;
    const y = H - LOW - ((H - LOW - 12) * i) / 4;
    parts.push(svg("line", { class: "axis", x1: LEFT, x2: W - 8, y1: y, y2: y }));
    parts.push(svg("text", { x: LEFT - 8, y: y + 4, "text-anchor": "end" }, words(value)));
  }
  return parts;
}

function curve(rounds) {
  const low = Math.max(0, Math.floor(Math.min(...rounds.map((r) => r.low)) * 10) / 10);
  const x = (i) => LEFT + 30 + (i * (W - LEFT - 70)) / Math.max(1, rounds.length - 1);
  const y = (p) => H - LOW - ((H - LOW - 12) * (p - low)) / (1 - low);
  const points = rounds.map((r, i) => `${x(i)},${y(r.accuracy)}`).join(" ");
  return svg("svg", { class: "plot", viewBox: `0 0 ${W} ${H}`, role: "img",
    "aria-label": "Accuracy by round" },
  ...axes(low, 1, (p) => `${Math.round(p * 100)}%`),
  svg("polyline", { class: "line", points }),
  ...rounds.flatMap((r, i) => [
    svg("line", { class: "range", x1: x(i), x2: x(i), y1: y(r.low), y2: y(r.high) }),
    svg("circle", { class: "point", cx: x(i), cy: y(r.accuracy), r: 4 }),
    svg("text", { x: x(i), y: H - 8, "text-anchor": "middle" }, String(r.round)),
  ]));
}

function lines(points) {
  const high = Math.max(...points.map((p) => p[1])) || 1;
  const last = points[points.length - 1][0] || 1;
  const first = points[0][0];
  const at = points.map(([i, loss]) => {
    const x = LEFT + ((i - first) * (W - LEFT - 12)) / Math.max(1, last - first);
    return `${x.toFixed(1)},${(H - LOW - ((H - LOW - 12) * loss) / high).toFixed(1)}`;
  });
  return svg("svg", { class: "plot", viewBox: `0 0 ${W} ${H}`, role: "img",
    "aria-label": "Loss by iteration" },
  ...axes(0, high, (v) => v.toFixed(2)),
  svg("polyline", { class: "line", points: at.join(" ") }),
  svg("text", { x: LEFT, y: H - 8 }, String(first)),
  svg("text", { x: W - 12, y: H - 8, "text-anchor": "end" }, String(last)));
}
