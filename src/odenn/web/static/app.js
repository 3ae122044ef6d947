// The page: what happens when, and nothing else. The other modules do the work.
import { byId, debounced, element, plain, sentence, short } from "./dom.js";
import { labels } from "./differences.js";
import { clearError, FieldError, showError } from "./errors.js";
import { Form } from "./form.js";
import { DamagedLink, decode, encode, sensible, sensibleRanges } from "./link.js";
import { axesOf, chosenAxes, colour, draw, drawLoss, lineSample, reachesPositive, TIMED, variables } from "./plots.js";
import { clearSummary, say, showDownloads, showSummary, showTable, showWindows } from "./results.js";
import { ask, events, post, runPath } from "./stream.js";

const MOST_PINNED = 5;
const PATIENCE = 600; // ms that a dragged run may take before a newer value ends it
const AT_FIELD = "Not solved: see the message at the field that is marked.";
const SETTLED = 500; // ms without a move of a slider
const COMPONENTS_AT_FIRST = 6;

const view = { tab: "solution", hidden: [], axes: {}, three: false, logarithmic: false, logarithmicY: false, revision: 0 };
let current = null; // the run that is shown
let pinned = []; // runs that are kept for comparison
let active = null; // {controller, run, dragging, since, started}: the run that is under way
let latest = null; // id of the run that began last
let waiting = null; // {since}: a slider was moved while a run is under way
let restoring = null; // stands for the link that is being restored, until something else is done
let known = ""; // names of the components in the plots, for their switches
let phased = ""; // the problem that the axes of the phase portrait were chosen for
let plotly = null; // a promise: plotly has been read

const form = new Form({
  solve: () => moved(),
  edited: () => {
    remember();
    compareWithForm();
  },
});

// Plotly is large: it is read after the page can be used.
function plotlyReady() {
  plotly ??= new Promise((resolve, reject) => {
    const script = element("script", { src: "/plotly.min.js" });
    script.addEventListener("load", resolve);
    script.addEventListener("error", () => reject(new Error("The plots cannot be drawn: /plotly.min.js was not found on the server.")));
    document.head.append(script);
  });
  return plotly;
}

// ---- runs -------------------------------------------------------------------------------------------------------------

async function solve({ spec, upload = null, dragging = false, since = performance.now() }) {
  const run = {
    id: null, spec, losses: [], windows: 0, ends: [], solution: null, summary: null, verified: null, failed: null,
    comparing: !upload && spec.verify, dash: 0,
  };
  const job = begin(run, dragging, since);
  waiting = null;
  document.body.dataset.run = "running";
  byId("stop").hidden = dragging;
  if (!dragging) {
    clearError();
    say(upload ? "Opening the file …" : "Solving …");
    clearSummary();
    byId("live-text").textContent = "";
    byId("progress").removeAttribute("value");
    showTable(run); // those of the earlier run go
    showDownloads(run);
    compareWithForm();
  }
  try {
    const replaced = latest ? `?replaces=${encodeURIComponent(latest)}` : ""; // its files can no longer be asked for
    await follow(job, `/api/runs${replaced}`, upload ? { upload } : spec);
    if (job === active && !run.summary && !run.failed) throw new Error("The connection ended before the run did: is the server still there?");
  } catch (error) {
    if (job === active) fail(run, error.name === "AbortError" ? new FieldError("Stopped before it began.") : error);
  }
  const missed = run.comparing; // there was nothing to compare, or something else was done
  run.comparing = false;
  if (job === active) {
    active = null;
    byId("stop").hidden = true;
    byId("live").hidden = true;
    document.body.dataset.run = run.failed ? "failed" : "done";
    if (missed) showSummary(run);
    if (waiting) drag();
    else settled();
  }
  return run;
}

// The comparison of a run that is there already.
async function compare(run) {
  const job = begin(run, true);
  run.comparing = true;
  showSummary(run);
  try {
    await follow(job, runPath(run.id, "verify"), {});
  } catch (error) {
    if (job === active) run.verified = { source: null, message: error.message };
  }
  run.comparing = false;
  if (job === active) {
    active = null;
    showSummary(run);
  }
}

// From now on this run is the one under way.
function begin(run, dragging, since = performance.now()) {
  active?.controller.abort();
  settled.cancel();
  active = { controller: new AbortController(), run, dragging, since, started: performance.now() };
  return active;
}

async function follow(job, path, content) {
  for await (const event of events(path, content, job.controller.signal)) {
    if (job !== active) return;
    await handle(event, job);
  }
}

async function handle(event, job) {
  const { run } = job;
  switch (event.event) {
    case "queued":
      run.id ??= event.run;
      if (!job.dragging && !run.summary) say(event.ahead ? `Waiting: ${event.ahead} ${event.ahead === 1 ? "run" : "runs"} ahead` : "Waiting for a free place …");
      break;
    case "started":
      run.id = latest = event.run;
      break;
    case "progress":
      await progress(event, job);
      break;
    case "solution":
      if (!job.dragging && !run.solution) view.revision += 1;
      run.solution = event;
      [run.windows, run.ends] = [event.windows, event.ends];
      show(run);
      await redraw();
      performance.measure(job.dragging ? "odenn:drag" : "odenn:curve", { start: job.since });
      if (waiting && job === active) drag();
      break;
    case "summary":
      run.summary = event;
      if (!run.spec && event.problem) adopt(run, event);
      if (event.training?.losses?.length) run.losses = event.training.losses;
      summarise(run);
      if (run.losses.length || !event.success) await redraw();
      break;
    case "verified":
      run.verified = event;
      run.comparing = false;
      showSummary(run);
      if (["error", "comparison"].includes(view.tab)) await redraw();
      break;
    case "failed":
      fail(run, new FieldError(event.message, event.field, event));
      break;
  }
}

// An opened file brings its own problem: the form follows.
function adopt(run, { problem, rtol }) {
  run.spec = { ...problem, rtol };
  if (run === current) phased = problemOf(run);
  form.write(run.spec).then(remember);
}

async function progress(event, job) {
  const { run } = job;
  if (job.dragging && performance.now() - job.started < PATIENCE) return;
  byId("live").hidden = false;
  byId("stop").hidden = false;
  if (typeof event.fraction === "number") byId("progress").value = event.fraction;
  run.losses.push(...(event.losses ?? []));
  run.windows = event.windows;
  const words = [];
  if (event.windows) words.push(`${event.windows} ${event.windows === 1 ? "window" : "windows"}`);
  if (run.losses.length) words.push(`loss ${short(run.losses.at(-1)[1])}`);
  if (typeof event.seconds === "number") words.push(`${event.seconds.toFixed(1)} s`);
  byId("live-text").textContent = words.join(", ");
  if (event.t && event.y) {
    if (!job.dragging && !run.solution) view.revision += 1;
    const { t, y, names, independent } = event;
    run.solution = { t, y, names, independent, span: run.spec.span, partial: true };
    run.ends = event.ends;
    show(run);
    if (["solution", "phase"].includes(view.tab)) await redraw();
  }
  byId("live-loss").hidden = !run.losses.length;
  if (run.losses.length) await redrawLoss(run);
}

// A run that fails at a parameter that is zero is told so at the parameter.
function blamed(run, error) {
  const zero = Object.entries(run.spec?.params ?? {}).filter(([, value]) => value === 0).map(([name]) => name);
  if (!zero.length || !/division by zero/.test(error.message)) return error;
  return new FieldError(`${error.message} (here ${zero.map((name) => `${name} = 0`).join(", ")}).`, `params.${zero[0]}`);
}

function fail(run, given) {
  const error = blamed(run, given);
  run.failed = error.message;
  document.body.dataset.run = "failed";
  const control = showError(error);
  const field = control ? control.closest("[data-field]") : null;
  const partial = run.solution && !run.summary ? " The curve that was found by then stays." : "";
  say(field ? AT_FIELD : `${sentence(error.message)}${partial}`, "bad");
  if (!run.summary) clearSummary();
  showTable(run);
  showDownloads(run);
  if (!run.solution) {
    current = null;
    showRuns();
    byId("windows-figure").hidden = true;
    redraw();
  }
  compareWithForm();
  if (control && active && !active.dragging) control.focus();
}

function show(run) {
  current = run;
  components();
  showRuns();
  showWindows(run);
  compareWithForm();
}

// What is shown may be older than what is typed: it says so, and is no longer when the text comes back.
function compareWithForm() {
  const spec = current?.solution ? current.spec : null;
  const earlier = spec ? form.changed(spec) : [];
  document.body.dataset.earlier = earlier.length ? "true" : "false";
  for (const note of document.querySelectorAll(".earlier")) {
    note.hidden = !earlier.length;
    note.textContent = `Of the earlier ${earlier.join(" and ")}`;
  }
}

function summarise(run) {
  const { summary } = run;
  const reached = summary.reached === null ? "" : ` Estimated error ${short(summary.reached)}, asked ${short(summary.asked ?? summary.rtol)}.`;
  const covered = summary.reached !== null && summary.reached <= (summary.asked ?? summary.rtol);
  const outcome = summary.success ? "Solved." : `Not solved ${covered ? "on the whole span" : "to the tolerance"}.`;
  say(`${outcome}${reached}`, summary.success ? "good" : "bad");
  showSummary(run);
  showTable(run);
  showDownloads(run);
  byId("live").hidden = true;
  byId("stop").hidden = true; // what follows is the comparison
  showRuns();
}

// ---- sliders: the latest value wins -------------------------------------------------------------------------------------

function moved() {
  restoring = null;
  remember();
  clearError("params");
  if (form.method !== "collocation") return;
  settled();
  waiting = { since: performance.now() };
  if (!active) drag();
  else if (!active.dragging || active.run.solution || performance.now() - active.started > PATIENCE) drag(); // its curve is drawn, or it is slow
}

async function drag() {
  const { since } = waiting;
  waiting = null;
  let spec;
  try {
    spec = form.spec();
  } catch (error) {
    showError(error);
    return;
  }
  await solve({ spec: { ...spec, verify: false }, dragging: true, since });
}

// Where a slider comes to rest, the comparison that was left out while it moved is made.
const settled = debounced(SETTLED, () => {
  const { solution, summary, verified, spec } = current ?? {};
  if (!active && byId("verify").checked && solution && summary && !verified && spec?.verify === false) compare(current);
});

// ---- plots ------------------------------------------------------------------------------------------------------------

// The runs that are drawn, each with the words that tell it from the others.
function drawn() {
  const runs = [...pinned, ...(current && !pinned.includes(current) ? [current] : [])];
  const words = runs.length > 1 ? labels(runs.map((run) => run.spec ?? {})) : [{ label: "", full: "" }];
  const alone = new Set(runs.flatMap((run) => run.solution?.names ?? [])).size === 1;
  runs.forEach((run, k) => Object.assign(run, { ...words[k], alone, dash: runs.length - 1 - k })); // the newest is solid
  return runs;
}

let drawing = null;
let again = false;

// One drawing at a time; what changed meanwhile is drawn once more at the end.
function redraw() {
  if (drawing) {
    again = true;
    return drawing;
  }
  drawing = (async () => {
    try {
      await plotlyReady();
      do {
        again = false;
        byId("plot-caption").textContent = await draw(byId("plot"), view.tab, drawn(), view);
      } while (again);
    } catch (error) {
      byId("plot-caption").textContent = error.message;
    } finally {
      drawing = null;
    }
  })();
  return drawing;
}

async function redrawLoss(run) {
  try {
    await plotlyReady();
    await drawLoss(byId("loss-plot"), run.losses);
  } catch {
    byId("live-loss").hidden = true; // the plot says why
  }
}

function components() {
  const runs = drawn().filter((run) => run.solution);
  const names = [...new Set(runs.flatMap((run) => run.solution.names))];
  if (names.join("\n") !== known) {
    known = names.join("\n");
    const wanted = view.hidden.filter((name) => names.includes(name));
    view.hidden = wanted.length || names.length <= COMPONENTS_AT_FIRST ? wanted : names.slice(COMPONENTS_AT_FIRST);
    byId("components").replaceChildren(
      element("legend", {}, "Components"),
      ...names.map((name, k) => {
        const box = element("input", { type: "checkbox", id: `component-${k}`, checked: !view.hidden.includes(name) });
        box.addEventListener("change", () => {
          view.hidden = box.checked ? view.hidden.filter((each) => each !== name) : [...view.hidden, name];
          remember();
          redraw();
        });
        return element("label", { class: "inline", for: `component-${k}` }, box, name);
      }));
  }
  const newest = runs.at(-1);
  if (newest && (!newest.solution.partial || problemOf(newest) !== phased)) phaseAxes(newest); // slopes come with the end
  arrangeControls(names.length);
}

function arrangeControls(count) {
  byId("components").hidden = count < 2 || ["phase", "training"].includes(view.tab);
  byId("logarithmic-field").hidden = !count || !TIMED.includes(view.tab);
  byId("logarithmic-name").textContent = current?.solution?.independent ?? form.independent;
  byId("logarithmic").checked = view.logarithmic;
  const positive = reachesPositive(drawn());
  byId("logarithmic").disabled = !positive;
  byId("logarithmic-field").title = positive ? "" : "There is nothing later than 0 to draw";
  byId("logarithmic-y-field").hidden = !count || view.tab !== "solution";
  byId("logarithmic-y").checked = view.logarithmicY;
  byId("phase-axes").hidden = view.tab !== "phase" || !count;
  for (const part of document.querySelectorAll("[data-three]")) part.hidden = !view.three;
  byId("three").checked = view.three;
}

// Runs of one problem have their equations in common, not only the names in them.
const problemOf = ({ solution, spec }) => `${variables(solution)}\n${plain(spec?.equations)}`;

function phaseAxes(run) {
  const { solution } = run;
  const axes = axesOf(solution);
  const problem = problemOf(run);
  if (phased && problem !== phased) view.axes = {}; // another problem has its own
  phased = problem;
  const chosen = chosenAxes(solution, view);
  for (const place of ["x", "y", "z"]) {
    const select = byId(`axis-${place}`);
    if ([...select.options].map((option) => option.text).join() !== axes.map((axis) => axis.label).join()) {
      select.replaceChildren(...axes.map((axis) => element("option", { value: axis.key }, axis.label)));
    }
    select.value = chosen[place];
  }
}

function chooseTab(tab, focus = false) {
  view.tab = tab;
  for (const button of document.querySelectorAll("[role=tab]")) {
    const chosen = button.dataset.tab === tab;
    button.setAttribute("aria-selected", String(chosen));
    button.tabIndex = chosen ? 0 : -1;
    if (chosen) {
      byId("plot-panel").setAttribute("aria-labelledby", button.id);
      if (focus) button.focus();
    }
  }
  arrangeControls(known ? known.split("\n").length : 0);
  showRuns();
  return redraw();
}

// ---- runs kept for comparison --------------------------------------------------------------------------------------------

function pin() {
  if (!current?.solution || pinned.includes(current)) return;
  pinned.push(current);
  showRuns();
  redraw();
  remember();
}

function unpin(run) {
  pinned = pinned.filter((each) => each !== run);
  components();
  showRuns();
  redraw();
  remember();
}

function showRuns() {
  const runs = drawn();
  byId("runs-panel").hidden = !runs.some((run) => run.solution);
  byId("runs").replaceChildren(...runs.map((run) => {
    const sample = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    sample.setAttribute("viewBox", "0 0 36 10");
    sample.setAttribute("aria-hidden", "true");
    const stroke = document.createElementNS("http://www.w3.org/2000/svg", "path");
    for (const [name, value] of Object.entries({ d: "M0 5H36", stroke: run.alone || view.tab === "phase" ? colour(run.dash) : "currentColor", "stroke-width": 2.5, "stroke-dasharray": lineSample(run.dash), fill: "none" })) stroke.setAttribute(name, value);
    sample.append(stroke);
    const kept = pinned.includes(run);
    const name = run.full || "This run";
    const parts = [sample, element("span", { class: "run-name" }, run === current && run.label ? `${name} (this run)` : name)];
    if (kept) parts.push(element("button", { type: "button", class: "quiet", "aria-label": `Remove ${name}`, onclick: () => unpin(run) }, "Remove"));
    return element("li", {}, ...parts);
  }));
  byId("clear-runs").hidden = !pinned.length;
  byId("pin").disabled = !current?.solution || pinned.includes(current) || pinned.length >= MOST_PINNED;
}

// ---- the link that restores everything -------------------------------------------------------------------------------------

function state() {
  const { ranges } = form.parameters;
  return { v: 1, spec: form.spec(), typed: form.typed, ranges, view: { ...view, revision: undefined }, pinned: pinned.map((run) => run.spec).filter(Boolean) };
}

const remember = debounced(300, () => {
  try {
    history.replaceState(null, "", `#${encode(state())}`);
  } catch (error) {
    if (!(error instanceof FieldError)) throw error; // a field that cannot be used yet: the link keeps the last good state
  }
});

async function copyLink() {
  const button = byId("copy-link");
  try {
    const address = `${location.origin}${location.pathname}#${encode(state())}`;
    history.replaceState(null, "", address);
    await navigator.clipboard.writeText(address);
    button.textContent = "Link copied";
  } catch (error) {
    if (error instanceof FieldError) showError(error)?.focus();
    else button.textContent = "Link is in the address bar";
  }
  setTimeout(() => (button.textContent = "Copy link"), 2500);
}

async function restore(hash) {
  const given = decode(hash);
  const { spec, doubtful } = sensible(given.spec, form.choices);
  given.spec = spec;
  const shown = given.view ?? {};
  if (KNOWN_TABS.has(shown.tab)) view.tab = shown.tab;
  if (Array.isArray(shown.hidden)) view.hidden = shown.hidden.map(String);
  view.three = Boolean(shown.three);
  view.logarithmic = Boolean(shown.logarithmic);
  view.logarithmicY = Boolean(shown.logarithmicY);
  pinned = [];
  current = null;
  known = "";
  byId("link-note").hidden = !doubtful.length;
  byId("link-note").textContent = `The link has no usable value for ${doubtful.join(", ")}: left at the default.`;
  const mine = (restoring = {}); // another link, a slider, Solve or Stop ends this
  const ended = () => mine !== restoring;
  await form.write(given.spec, sensibleRanges(given.ranges));
  form.retype({ ...given.typed });
  if (ended()) return;
  const quick = (spec) => spec?.method === "collocation";
  for (const spec of (Array.isArray(given.pinned) ? given.pinned : []).filter(quick).slice(0, MOST_PINNED)) {
    const run = await solve({ spec: { ...form.choices.defaults, ...sensible(spec, form.choices).spec, verify: false } });
    if (ended()) return;
    if (run === current) pin();
  }
  phased = "";
  view.axes = { ...shown.axes };
  await chooseTab(view.tab);
  if (ended()) return;
  restoring = null;
  if (form.method === "collocation") await solve({ spec: form.spec() });
  else say("The link is restored. Press Solve to train.");
}

// ---- a reload -------------------------------------------------------------------------------------------------------------

const DRAFT = "odenn-draft";
const DRAFTED = ["equations", "initial", "span-from", "span-to", "rtol"];

// What is typed is kept for a reload of this page, also where it cannot be solved and so is not in the link.
function keepDraft() {
  try {
    history.replaceState(null, "", `#${encode(state())}`);
  } catch {
    // a field that cannot be used yet: the link keeps the last good state
  }
  try {
    sessionStorage.setItem(DRAFT, JSON.stringify({ hash: location.hash, fields: Object.fromEntries(DRAFTED.map((id) => [id, byId(id).value])) }));
  } catch {
    // storage is switched off
  }
}

function restoreDraft() {
  let draft = null;
  try {
    draft = JSON.parse(sessionStorage.getItem(DRAFT));
    sessionStorage.removeItem(DRAFT);
  } catch {
    return; // storage is switched off
  }
  if (!draft || draft.hash !== location.hash) return; // another link was opened
  const changed = DRAFTED.filter((id) => typeof draft.fields[id] === "string" && draft.fields[id] !== byId(id).value);
  for (const id of changed) byId(id).value = draft.fields[id];
  if (!changed.length) return;
  compareWithForm();
  form.readNow();
}

const KNOWN_TABS = new Set(["solution", "phase", "error", "defect", "comparison", "training"]);

// ---- files ------------------------------------------------------------------------------------------------------------

const sending = new Map(); // field -> the file that was chosen last: an earlier one may arrive after it

// What the server says of a file; null where it was refused, or another was chosen meanwhile.
async function send(input, field, kind) {
  const [file] = input.files;
  if (!file) return null;
  input.value = ""; // the same file can be chosen again
  clearError(field);
  sending.set(field, file);
  try {
    const most = form.choices.limits?.upload_bytes;
    if (most && file.size > most) throw new Error(`\`${file.name}\` has ${short(file.size / 1e6)} MB: at most ${short(most / 1e6)} MB are taken.`);
    const headers = { "content-type": "application/octet-stream" };
    const response = await ask(`/api/uploads?name=${encodeURIComponent(file.name)}`, { method: "POST", headers, body: file });
    const sent = { ...(await response.json()), name: file.name };
    if (sent.kind !== kind) throw new Error(`\`${file.name}\` is ${kind === "data" ? "not a CSV file" : "not a solution that odenn saved"}.`);
    return sending.get(field) === file ? sent : null;
  } catch (error) {
    if (sending.get(field) === file) showError(new FieldError(error.message, field));
    return null;
  }
}

// ---- wiring -----------------------------------------------------------------------------------------------------------

async function submit() {
  restoring = null;
  settled.cancel();
  clearError();
  let spec;
  try {
    await form.readNow(); // a name that was just typed becomes a parameter first
    spec = form.spec();
  } catch (error) {
    showError(error)?.focus();
  }
  const marked = document.querySelector("[data-field] [aria-invalid]");
  if (!spec || marked) {
    marked?.focus();
    say(AT_FIELD, "bad");
    document.body.dataset.run = "failed";
    return;
  }
  remember();
  await solve({ spec });
}

function wire() {
  byId("form").addEventListener("submit", (event) => {
    event.preventDefault();
    submit();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      submit();
    }
  });
  for (const within of document.querySelectorAll("a[href^='#']")) {
    within.addEventListener("click", (event) => {
      event.preventDefault(); // what follows the # in the address is the state
      const target = byId(within.hash.slice(1));
      target.scrollIntoView();
      target.focus();
    });
  }
  byId("stop").addEventListener("click", async () => {
    restoring = null;
    const run = active?.run;
    if (!run?.id) return active?.controller.abort();
    say("Stopping …");
    await post(runPath(run.id, "stop"), {}).catch((error) => say(error.message, "bad"));
  });
  byId("gallery").addEventListener("change", async (event) => {
    const chosen = form.choices.gallery.find((each) => each.name === event.target.value);
    if (!chosen) return;
    view.hidden = [];
    view.axes = {};
    const reading = form.write(chosen.spec, chosen.ranges ?? {});
    byId("gallery").value = chosen.name;
    await reading;
    remember();
    compareWithForm();
    if (form.method === "collocation") await submit();
  });
  for (const button of document.querySelectorAll("[role=tab]")) {
    button.addEventListener("click", () => {
      chooseTab(button.dataset.tab);
      remember();
    });
  }
  document.querySelector("[role=tablist]").addEventListener("keydown", (event) => {
    const tabs = [...document.querySelectorAll("[role=tab]")];
    const at = tabs.findIndex((tab) => tab.dataset.tab === view.tab);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    chooseTab(tabs[(to + tabs.length) % tabs.length].dataset.tab, true);
    remember();
  });
  for (const place of ["x", "y", "z"]) {
    byId(`axis-${place}`).addEventListener("change", (event) => {
      view.axes[place] = event.target.value;
      remember();
      redraw();
    });
  }
  byId("logarithmic").addEventListener("change", (event) => {
    view.logarithmic = event.target.checked;
    remember();
    redraw();
  });
  byId("logarithmic-y").addEventListener("change", (event) => {
    view.logarithmicY = event.target.checked;
    remember();
    redraw();
  });
  byId("three").addEventListener("change", (event) => {
    view.three = event.target.checked;
    arrangeControls(known.split("\n").length);
    remember();
    redraw();
  });
  byId("pin").addEventListener("click", pin);
  byId("clear-runs").addEventListener("click", () => {
    pinned = [];
    components();
    showRuns();
    redraw();
    remember();
  });
  byId("copy-link").addEventListener("click", copyLink);
  byId("csv").addEventListener("change", async (event) => {
    const sent = await send(event.target, "data", "data");
    if (!sent) return;
    form.upload = sent;
    form.arrange();
    remember();
  });
  byId("odenn-file").addEventListener("change", async (event) => {
    const sent = await send(event.target, "upload", "solution");
    if (!sent) return;
    restoring = null;
    await solve({ spec: null, upload: sent.upload });
  });
  const theme = byId("theme");
  theme.value = document.documentElement.dataset.theme;
  theme.addEventListener("change", () => {
    document.documentElement.dataset.theme = theme.value;
    try {
      localStorage.setItem("odenn-theme", theme.value);
    } catch {
      // storage is switched off: the choice lasts as long as the page
    }
    restyle();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", restyle);
  addEventListener("hashchange", () => restore(location.hash).catch(linkFailed));
}

function restyle() {
  redraw();
  showRuns();
  if (!byId("live-loss").hidden && active) redrawLoss(active.run);
}

function linkFailed(error) {
  const why = error instanceof DamagedLink ? error.message : "a part of it makes no sense.";
  say(`The link cannot be read: ${why} The page starts from its defaults.`, "bad");
}

async function load() {
  const choices = await (await ask("/api/choices")).json();
  form.setChoices(choices);
  byId("version").textContent = choices.version ?? "";
  byId("gallery").append(...choices.gallery.map((each) => element("option", { value: each.name }, each.title)));
  wire();
  form.write(choices.defaults, choices.defaults.ranges);
  chooseTab("solution");
  document.body.dataset.page = "ready";
  performance.mark("odenn:ready");
  if (location.hash.length > 1) await restore(location.hash).catch(linkFailed);
  restoreDraft();
  addEventListener("pagehide", keepDraft);
}

load().catch((error) => say(error.message, "bad"));
