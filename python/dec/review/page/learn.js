// Training in the background, and what came of it.
import { $, ask, count, h, many, say } from "./dom.js";
import { REJECTED, model } from "./model.js";
import { accuracies, curve } from "./plots.js";

/**
 * @typedef {object} Round a finished one; accuracy of test items, with its 95% interval
 * @property {number} round
 * @property {number | null} reviewed
 * @property {number} photos
 * @property {number} accuracy
 * @property {number} low
 * @property {number} high
 * @property {number} n
 *
 * @typedef {object} Worth what a look at the others would find, as the net expects
 * @property {number} left
 * @property {number} wrong
 * @property {number} half
 */

/** @param {() => void} toDoubtful opens them */
export function setUpLearn(toDoubtful) {
  $("train").onclick = () => begin("/api/train", { experiment: $("experiment").value });
  $("stop").onclick = () => ask("/api/stop", {}).catch((error) => say(error.message, "error"));
  $("to-doubtful").onclick = toDoubtful;
  for (const button of exportButtons()) {
    button.addEventListener("click", () => begin("/api/export",
      { kind: button.dataset.kind, guesses: $("away-guesses").checked }));
  }
  let before = "";
  model.addEventListener("progress", () => {
    const { job } = model.facts;
    const now = job ? `${job.what} ${job.state}` : "";
    if (job && before.endsWith("running") && !now.endsWith("running")) ended(job);
    before = now;
    showWork();
  });
  model.addEventListener("change", () => {
    if (!$("learn").hidden || !$("away").hidden) showLearn();
  });
}

/** The buttons of exports. @returns {HTMLButtonElement[]} */
function exportButtons() {
  return [...document.querySelectorAll("#away [data-kind]")]
    .map((button) => /** @type {HTMLButtonElement} */ (button));
}

/** Begins work in the background. @param {string} path @param {Record<string, any>} facts */
async function begin(path, facts) {
  try {
    Object.assign(model.facts, await ask(path, facts));
    showWork();
  } catch (error) {
    say(error.message, "error");
  }
}

/** @param {import("./model.js").Job} job */
function ended(job) {
  const what = job.what === "train" ? "Training" : "Export";
  const words = { running: "", done: "is done", failed: "has failed", stopped: "was stopped" };
  say(`${what} ${words[job.state]}.`, job.state === "failed" ? "error" : "");
  if (!$("learn").hidden) showLearn();
}

export async function showLearn() {
  const select = $("experiment");
  if (!select.childElementCount) {
    select.append(...model.facts.experiments.map((name) => h("option", { value: name }, name)));
  }
  const { sizes, left, named } = model.counts();
  const classes = [...sizes.keys()].filter((label) => label && label !== REJECTED).length;
  const facts = `${many(named, model.unit)} of ${count(model.there.length)} ` +
    `${named === 1 ? "has" : "have"} one of ${count(classes)} ` +
    `${classes === 1 ? "class" : "classes"}; ${count(model.there.length - left)} ` +
    "were looked at.";
  const learner = model.kind === "photo" ? "a net" : "a linear classifier of the rows";
  $("learn-why").textContent = `${facts} As dec loop next does, ${learner} learns these ` +
    `classes, and names every ${model.unit}. You can go on sorting meanwhile; what you say ` +
    "then counts in the next round.";
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
  const { job, elsewhere } = model.facts;
  const running = Boolean(job && job.state === "running");
  $("train").disabled = running || elsewhere;
  $("stop").hidden = !running;
  for (const button of exportButtons()) {
    button.hidden = !model.facts.exports.includes(button.dataset.kind || "");
    button.disabled = running;
  }
  const training = job && job.what === "train" ? job : null;
  fill($("work"), training, elsewhere);
  fill($("away-work"), training ? null : job, false);
  $("lines").hidden = !training;
  if (training) {
    const box = $("lines");
    const end = box.scrollTop + box.clientHeight > box.scrollHeight - 10;
    box.textContent = training.lines.join("\n");
    if (end) box.scrollTop = box.scrollHeight;
  }
  draw($("loss"), "Loss by iteration", training ? training.loss : [], (v) => v.toFixed(2));
  draw($("accuracy"), "Validation photos right, by iteration",
    training ? training.accuracy : [], (v) => `${Math.round(v)}%`);
}

/** @param {HTMLElement} figure @param {string} label @param {number[][]} points
 * @param {(value: number) => string} words */
function draw(figure, label, points, words) {
  figure.hidden = points.length < 2;
  if (figure.hidden) return;
  figure.replaceChildren(curve(label, points, words), h("figcaption", {}, label));
}

/** @param {HTMLElement} box @param {import("./model.js").Job | null} job
 * @param {boolean} elsewhere */
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
    const time = left.includes("?") ? "" : `, ${left} left`;
    parts.push(h("p", { className: "soft" }, whole ? `${what}: all ${total}; going on …`
      : `${what}: ${done} of ${total}, ${percent}%${time}`));
    parts.push(h("progress", whole ? { "aria-label": "at work" }
      : { max: 100, value: Number(percent), "aria-label": what }));
  }
  if (job.what !== "train" || job.state === "failed") {
    parts.push(h("pre", { tabIndex: 0, "aria-label": "What it says" },
      job.lines.slice(-8).join("\n")));
  }
  box.replaceChildren(...parts);
}

/** @param {number} share */
const percent = (share) => `${(share * 100).toFixed(1)}%`;

/** How many more reviews are worth it, in words. @param {Worth} worth */
function expected({ left, wrong, half }) {
  const others = left === 1 ? `the one ${model.unit} that nobody has looked at`
    : `the ${count(left)} ${model.unit}s that nobody has looked at`;
  if (wrong < 1) return `By its own probabilities hardly any guess for ${others} is wrong.`;
  return `By its own probabilities some ${count(Math.round(wrong))} of ${others} have a ` +
    `wrong guess; the ${count(half)} most doubtful hold half of these mistakes.`;
}

/** @param {{ rounds: Round[], worth?: Worth, run?: string }} found */
function showRounds({ rounds, worth, run }) {
  $("away-net").hidden = !run;
  $("away-net").textContent = model.kind === "photo"
    ? `The net of the last round is in ${run}; dec classify ${run} PHOTOS labels others by it.`
    : `The classifier of the last round is in ${run}, as a net of Caffe's.`;
  $("to-doubtful").hidden = !model.guesses;
  let words = `Every ${model.unit} has been looked at.`;
  if (!rounds.length) words = "No round yet: name clusters of at least two classes, then train.";
  else if (worth && worth.left) {
    words = `${expected(worth)} Test ${model.unit}s are held out of training; their classes ` +
      "are those of clusters and reviews, so the accuracy is as good as these are.";
  }
  $("worth").textContent = words;
  $("curve").hidden = rounds.length < 2;
  if (rounds.length > 1) {
    $("curve").replaceChildren(accuracies(rounds), h("figcaption", {},
      `Test ${model.unit}s right, by round, with the 95% interval`));
  }
  $("rounds").replaceChildren(...(rounds.length ? [table(rounds)] : []));
}

/** @param {Round[]} rounds */
function table(rounds) {
  const head = ["round", `${model.unit}s with a class`, "looked at", `test ${model.unit}s`,
    "right (95%)"];
  return h("table", {},
    h("thead", {}, h("tr", {}, ...head.map((word) => h("th", { scope: "col" }, word)))),
    h("tbody", {}, ...rounds.map((r) => h("tr", {},
      h("td", {}, String(r.round)), h("td", {}, count(r.photos)),
      h("td", {}, r.reviewed === null ? "?" : count(r.reviewed)), h("td", {}, count(r.n)),
      h("td", {}, `${percent(r.accuracy)} (${percent(r.low)} to ${percent(r.high)})`)))));
}
