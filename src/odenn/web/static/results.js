// The outcome of a run in words and figures: the summary line, the diagnosis, windows, table, files.
import { byId, element, exact, paragraph, sentence, short } from "./dom.js";
import { runPath } from "./stream.js";

const SHOWN_WINDOWS = 400; // lines in the strip: more cannot be told apart

export function say(text, kind = "") {
  const status = byId("status");
  status.className = kind;
  status.textContent = text;
}

function figure(title, value, note = "", kind = "") {
  const parts = [value];
  if (note) parts.push(element("small", {}, note));
  return element("div", { "data-figure": title }, element("dt", {}, title), element("dd", { class: kind || null }, ...parts));
}

const WORK = [["windows", "window", "windows"], ["iterations", "iteration", "iterations"], ["evaluations", "evaluation", "evaluations"]];

// The first count as a figure, the others in words.
function work(summary) {
  const counts = WORK.map(([key, one, many]) => [summary.stats?.[key], one, many]).filter(([count]) => count);
  if (summary.parameters) counts.push([summary.parameters, "weight", "weights"]);
  const unit = ([count, one, many]) => (count === 1 ? one : many);
  const [first, ...others] = counts;
  if (!first) return ["–", ""];
  return [first[0].toLocaleString("en"), [unit(first), ...others.map((each) => `${each[0].toLocaleString("en")} ${unit(each)}`)].join(", ")];
}

export function showSummary(run) {
  const { summary, verified } = run;
  const box = byId("figures");
  box.hidden = !summary;
  if (!summary) return;
  const met = summary.reached !== null && summary.asked !== null && summary.reached <= summary.asked;
  const figures = [
    figure("Result", summary.success ? "solved" : "not solved", summary.success ? "" : summary.status?.toLowerCase().replaceAll("_", " "), summary.success ? "good" : "bad"),
    figure("Error asked", short(summary.asked ?? summary.rtol), "relative"),
    figure("Error reached", short(summary.reached), "estimated", met ? (summary.success ? "good" : "") : "bad"),
  ];
  if (verified?.source) figures.push(figure("True error", short(verified.true_error), verified.source.startsWith("exact") ? "against the exact solution" : `against ${verified.source}`));
  else figures.push(figure("True error", "–", run.comparing ? "being compared" : "not compared"));
  figures.push(figure("Time", `${short(summary.seconds)} s`), figure("Work", ...work(summary)));
  box.replaceChildren(...figures);
  const words = [];
  if (!summary.success && summary.message) words.push(sentence(summary.message));
  for (const { description, evidence, remedy } of summary.training?.diagnoses ?? []) {
    words.push([description, evidence, remedy].filter(Boolean).map(sentence).join(" "));
  }
  if (verified && !verified.source) words.push(sentence(verified.message));
  byId("diagnoses").replaceChildren(...[...new Set(words.filter(Boolean))].map(paragraph));
  byId("diagnoses").hidden = !words.length;
}

export function clearSummary() {
  byId("figures").hidden = true;
  byId("diagnoses").hidden = true;
}

// The windows that were accepted, on the axis of the independent variable; `ends` are those of some, where there are many.
export function showWindows({ windows, ends, solution }) {
  const { span, independent, t } = solution;
  byId("windows-figure").hidden = !ends.length;
  if (!ends.length) return;
  const backwards = span[1] < span[0];
  const reached = backwards ? Math.min(...ends, t[0], t.at(-1)) : Math.max(...ends);
  const place = (at) => (1000 * (at - span[0])) / (span[1] - span[0]);
  const every = Math.ceil(ends.length / SHOWN_WINDOWS);
  const strip = byId("windows-strip");
  const make = (tag, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const marks = ends.filter((_, k) => k % every === 0).map((end) => `M${place(end).toFixed(2)} 0V10`).join("");
  strip.replaceChildren(make("rect", { x: 0, y: 0, width: Math.max(0, place(reached)), height: 10 }), make("path", { d: marks }));
  const count = `${windows} ${windows === 1 ? "window" : "windows"}`;
  const finished = Math.abs(span[1] - reached) <= 1e-9 * Math.abs(span[1] - span[0]);
  const goal = finished ? "" : backwards ? ` (the span ends at ${short(span[1], 4)})` : ` of ${short(span[1], 4)}`;
  byId("windows-caption").textContent = `${count}, ${backwards ? "down" : "up"} to ${independent} = ${short(finished ? span[1] : reached, 4)}${goal}`;
}

export function showTable(run) {
  const table = run.summary?.table;
  byId("values-panel").hidden = !table;
  if (!table) return byId("values").replaceChildren();
  const { names, independent } = run.solution;
  const digits = (value) => (value === null ? "–" : exact(Number(value.toPrecision(10))).replaceAll("-", "\u2212"));
  const head = [element("th", { scope: "col" }, independent)];
  for (const name of names) head.push(element("th", { scope: "col" }, name), element("th", { scope: "col" }, `error of ${name}`));
  const rows = table.t.map((t, j) => {
    const cells = [element("th", { scope: "row" }, digits(t))];
    for (const k of names.keys()) {
      cells.push(element("td", {}, digits(table.y[k][j])), element("td", { class: "error-value" }, short(table.error?.[k]?.[j] ?? null, 2)));
    }
    return element("tr", {}, ...cells);
  });
  byId("values").replaceChildren(
    element("caption", { class: "unseen" }, "The solution at eleven places with its estimated error"),
    element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows));
}

const FILES = {
  csv: "CSV, values", png: "PNG, picture", svg: "SVG, picture", onnx: "ONNX, network", odenn: ".odenn, solution", py: ".py, Python script",
};

export function showDownloads(run) {
  const kinds = run.summary?.downloads ?? [];
  byId("downloads-part").hidden = !kinds.length;
  byId("downloads").replaceChildren(...kinds.map((kind) => element("li", {},
    element("a", { class: "button", href: runPath(run.id, `download/${kind}`), download: "", id: `download-${kind}` }, FILES[kind] ?? kind))));
}
