// The plots: a list of runs and what is to be seen of them -> traces and a layout for plotly.
/* global Plotly */

// M. Okabe and K. Ito, "Color Universal Design" (2008), as in odenn's other pictures; lighter on dark.
const PALETTES = {
  light: {
    lines: ["#0072B2", "#D55E00", "#009E73", "#B8568F", "#B37A00", "#3B94C9", "#222222", "#7A7A7A"],
    ink: "#1b2127", muted: "#56606b", grid: "#e4e7ea", surface: "#ffffff",
  },
  dark: {
    lines: ["#5BB4F0", "#FF9354", "#3FD0A2", "#E79CCB", "#F0C04A", "#A5D8F8", "#F2F2F2", "#A8A8A8"],
    ink: "#e7eaed", muted: "#a9b2bc", grid: "#333a41", surface: "#1a1e22",
  },
};
const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
const CONFIG = {
  responsive: true, displaylogo: false,
  showSendToCloud: false, plotlyServerURL: "", // nothing leaves this page
  modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d", "toImage", "resetCameraLastSave3d", "zoom2d", "zoom3d", "hoverClosestCartesian", "hoverCompareCartesian", "toggleSpikelines"],
};

const palette = () => {
  const chosen = document.documentElement.dataset.theme;
  const dark = chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  return PALETTES[dark ? "dark" : "light"];
};

export const colour = (k) => palette().lines[k % palette().lines.length];

const escaped = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

// y1 with its 1 set low, as in print.
const printed = (name) => escaped(name).replace(/^(\D+?)_?(\d+)$/, "$1<sub>$2</sub>");

const derivativeName = (name) => `${printed(name)}′`;

// Ticks at powers of ten alone, unless the values span less than two.
function logarithmic(traces, most = 9) {
  const values = traces.flatMap((trace) => trace.y).filter((value) => value > 0);
  let [least, largest] = [Infinity, 0];
  for (const value of values) [least, largest] = [Math.min(least, value), Math.max(largest, value)];
  const decades = Math.log10(largest / least);
  // Plotly draws powers larger than other ticks.
  return { type: "log", exponentformat: "power", tickfont: { color: palette().muted, size: 10 }, ...(decades > 2 ? { dtick: Math.ceil(decades / most) } : {}) };
}

const narrow = () => matchMedia("(max-width: 44rem)").matches;

const HOVER = "%{y:.6g}<extra>%{fullData.name}</extra>";

// The axes of a phase portrait: the independent variable, the components, their derivatives.
export function axesOf(solution) {
  const found = [{ key: "t", label: solution.independent, print: printed(solution.independent), values: solution.t }];
  solution.names.forEach((name, k) => found.push({ key: `y${k}`, label: name, print: printed(name), values: solution.y[k] }));
  solution.derivative?.forEach((values, k) =>
    found.push({ key: `d${k}`, label: `${solution.names[k]}\u2032`, print: derivativeName(solution.names[k]), values }));
  return found;
}

// One component alone: the runs differ by colour as well.
const coloured = (run, k) => colour(run.alone ? run.dash : k);

function line(run, k, name, x, y, more = {}) {
  const { line: style, ...rest } = more;
  const older = narrow() && run.dash > 0; // there is no room for all of them: the list of runs names these
  return {
    type: "scatter", mode: "lines", x, y, hovertemplate: HOVER, connectgaps: false,
    name: run.label && (older || !narrow()) ? `${name} · ${escaped(run.label)}` : name, showlegend: !older,
    line: { color: coloured(run, k), dash: DASHES[run.dash % DASHES.length], width: 2, simplify: false, ...style }, ...rest,
  };
}

// The size of what may be of either sign, for a logarithmic axis.
const sizeLine = (run, k, name, x, values, more) =>
  line(run, k, name, x, values.map((value) => (value === null || value === 0 ? null : Math.abs(value))), more);

// Every run's shown components.
function* shown(runs, view) {
  for (const run of runs) {
    if (!run.solution) continue;
    for (const [k, name] of run.solution.names.entries()) if (!view.hidden.includes(name)) yield { run, k, name, print: printed(name) };
  }
}

function solutionPlot(runs, view) {
  const traces = [];
  const blown = new Map(); // run -> its traces, where it grew without bound
  for (const { run, k, print } of shown(runs, view)) {
    const made = line(run, k, print, run.solution.t, run.solution.y[k]);
    traces.push(made);
    if (UNBOUNDED.includes(run.summary?.status)) blown.set(run, [...(blown.get(run) ?? []), made]);
  }
  if (view.logarithmicY) {
    const signs = traces.some((trace) => trace.y.some((value) => value !== null && value <= 0));
    return { traces, y: logarithmic(traces), caption: signs ? "The solution; values that are not positive have no place on this axis" : "The solution" };
  }
  const range = blown.size ? cut(traces, blown) : null;
  if (!range) return { traces, y: {}, caption: "The solution" };
  return { traces, y: { range }, caption: "The solution grows without bound: the axis is cut at what it reaches in the first 98 % of the time. A double click shows all, the logarithmic axis too" };
}

const UNBOUNDED = ["BLOW_UP", "OVERFLOW"];
const FIRST_PART = 0.98; // of the time: what a solution that grows without bound is drawn for at first
const MARGIN = 0.06; // of the range, above and below

// The range of all lines, of those that grow without bound only their first part; null where that hides little.
function cut(traces, blown) {
  const unbounded = new Set([...blown.values()].flat());
  let [least, largest, lowest, highest] = [Infinity, -Infinity, Infinity, -Infinity];
  for (const trace of traces) {
    const [begin, end] = [trace.x[0], trace.x.at(-1)];
    trace.y.forEach((value, j) => {
      if (value === null) return;
      [lowest, highest] = [Math.min(lowest, value), Math.max(highest, value)];
      if (unbounded.has(trace) && Math.abs(trace.x[j] - begin) > FIRST_PART * Math.abs(end - begin)) return;
      [least, largest] = [Math.min(least, value), Math.max(largest, value)];
    });
  }
  const size = largest - least;
  return size > 0 && highest - lowest > 3 * size ? [least - MARGIN * size, largest + MARGIN * size] : null;
}

// An entry of the legend that stands for the lines of all components.
const legendOnly = (name, style) => ({
  type: "scatter", mode: "lines", x: [null], y: [null], name, hoverinfo: "skip", line: { color: palette().muted, ...style },
});

const TOLERANCE = { width: 1.25, dash: "6px,3px" };
const TRUE_ERROR = { width: 1.25, dash: "dot" };

// The tolerance and the true error are those of the newest run: of every run they would hide the estimates.
function errorPlot(runs, view) {
  const traces = [];
  const kinds = new Set();
  for (const { run, k, print } of shown(runs, view)) {
    const { t, error, tolerance } = run.solution;
    const { verified } = run;
    if (error?.[k]) traces.push(sizeLine(run, k, print, t, error[k]));
    if (run.dash) continue;
    if (tolerance?.[k]) {
      kinds.add("tolerance");
      traces.push(sizeLine(run, k, `tolerance of ${print}`, t, tolerance[k], { line: TOLERANCE, opacity: 0.7, showlegend: false }));
    }
    if (verified?.difference?.[k]) {
      kinds.add("true error");
      traces.push(sizeLine(run, k, `true error of ${print}`, verified.t, verified.difference[k], { line: TRUE_ERROR, showlegend: false }));
    }
  }
  if (kinds.has("tolerance")) traces.push(legendOnly("tolerance", TOLERANCE));
  if (kinds.has("true error")) traces.push(legendOnly("true error", TRUE_ERROR));
  return {
    traces, y: { ...logarithmic(traces), title: { text: "absolute error" } },
    caption: "Estimated error, the tolerance that it must stay under, and the true error where a reference is known",
  };
}

function defectPlot(runs, view) {
  const traces = [];
  for (const { run, k, print } of shown(runs, view)) {
    if (run.solution.residual?.[k]) traces.push(sizeLine(run, k, print, run.solution.t, run.solution.residual[k]));
  }
  return {
    traces, y: { ...logarithmic(traces), title: { text: "defect" } },
    caption: "The defect: what is left when the solution is put into the equations",
  };
}

function comparisonPlot(runs, view) {
  const traces = [];
  for (const { run, k, print } of shown(runs, view)) {
    const { verified } = run;
    if (!verified?.y?.[k]) continue;
    traces.push(line(run, k, `${print} solution`, run.solution.t, run.solution.y[k]));
    const every = Math.max(1, Math.floor(verified.t.length / 40));
    const thin = (values) => values.filter((_, j) => j % every === 0);
    traces.push(line(run, k, `${print} reference`, thin(verified.t), thin(verified.y[k]), { mode: "markers", marker: { color: coloured(run, k), size: 6, symbol: "circle-open" } }));
    traces.push(sizeLine(run, k, `${print} difference`, verified.t, verified.difference[k], { yaxis: "y2", line: { width: 1.5 }, showlegend: false }));
  }
  const source = runs.find((run) => run.verified?.y)?.verified.source;
  return {
    traces, y: { domain: [0.42, 1] },
    more: { yaxis2: { domain: [0, 0.34], ...logarithmic(traces.filter((trace) => trace.yaxis)), title: { text: "difference" } } },
    caption: source ? `Solution and reference (${source}); below, the size of their difference` : "Not compared with a reference yet",
  };
}

function trainingPlot(runs, view, ticks = 9) {
  const traces = runs
    .filter((run) => run.losses?.length)
    .map((run, j) => line(run, j, "loss", run.losses.map(([step]) => step), run.losses.map(([, loss]) => (loss > 0 ? loss : null))));
  return {
    traces, y: { ...logarithmic(traces, ticks), title: { text: "loss" } },
    x: { title: { text: "iteration" }, ...(traces.every((trace) => trace.x.length < 12) ? { dtick: 1 } : {}) }, // no half iterations
    caption: traces.length ? "Loss while training" : "Collocation does not train: the weights are found directly, window by window",
  };
}

// The axes at first: the components, or one component against its derivative.
function usualAxes(keys) {
  if (keys.includes("y1")) return { x: "y0", y: "y1", z: keys.includes("y2") ? "y2" : "t" };
  return keys.includes("d0") ? { x: "y0", y: "d0", z: "t" } : { x: "t", y: "y0", z: "t" };
}

// The axes that are chosen where the solution has them, the usual ones elsewhere.
export function chosenAxes(solution, view) {
  const keys = axesOf(solution).map((axis) => axis.key);
  const usual = usualAxes(keys);
  return Object.fromEntries(["x", "y", "z"].map((place) => [place, keys.includes(view.axes[place]) ? view.axes[place] : usual[place]]));
}

export const variables = (solution) => [solution.independent, ...solution.names].join("\n");

function phasePlot(runs, view) {
  const three = view.three;
  const traces = [];
  const all = runs.filter((run) => run.solution);
  const newest = all.at(-1);
  const alike = all.filter((run) => variables(run.solution) === variables(newest.solution));
  const chosen = newest ? chosenAxes(newest.solution, view) : {};
  let axes = [];
  for (const run of alike) {
    const known = axesOf(run.solution);
    const pick = ["x", "y", "z"].slice(0, three ? 3 : 2).map((place) => known.find((axis) => axis.key === chosen[place]) ?? known[0]);
    axes = pick;
    const [x, y, z] = pick;
    const which = run.dash;
    const name = run.label ? escaped(run.label) : "solution";
    const style = { color: colour(which), dash: DASHES[run.dash % DASHES.length], width: three ? 4 : 2, ...(three ? {} : { simplify: false }) };
    const begin = { mode: "markers", name: `${name} · start`, showlegend: false, hoverinfo: "skip" };
    const marker = { color: colour(which), size: three ? 4 : 8 };
    if (three) {
      traces.push({ type: "scatter3d", mode: "lines", x: x.values, y: y.values, z: z.values, name, line: style });
      traces.push({ type: "scatter3d", ...begin, marker, x: x.values.slice(0, 1), y: y.values.slice(0, 1), z: z.values.slice(0, 1) });
    } else {
      traces.push({ type: "scatter", mode: "lines", x: x.values, y: y.values, name, line: style, hovertemplate: "(%{x:.6g}, %{y:.6g})<extra>%{fullData.name}</extra>" });
      traces.push({ type: "scatter", ...begin, marker, x: x.values.slice(0, 1), y: y.values.slice(0, 1) });
    }
  }
  return {
    traces, three, axes, x: { title: { text: axes[0]?.print } }, y: { title: { text: axes[1]?.print } }, hovermode: "closest",
    caption: `Phase portrait; the dot is where the solution starts${alike.length < all.length ? "; kept runs of other components are left out" : ""}`,
  };
}

export const TIMED = ["solution", "error", "defect", "comparison"]; // over the independent variable

const KINDS = {
  solution: solutionPlot, error: errorPlot, defect: defectPlot, comparison: comparisonPlot, training: trainingPlot, phase: phasePlot,
};

const LEAST_PART = 0.2; // of the span: a solution on less would be a line on the edge of the plot

// The range of the independent variable: all of the solutions, and of the span where they cover enough of it. It is
// always given: plotly, left to itself, may take up a range again that it had for an earlier plot.
function timeRange(runs, onlyPositive) {
  let [least, largest] = [Infinity, -Infinity];
  for (const { solution } of runs) {
    if (!solution) continue;
    const [begin, end] = solution.span ?? [solution.t[0], solution.t.at(-1)];
    const part = Math.abs(solution.t.at(-1) - solution.t[0]) / Math.abs(end - begin);
    const times = part > LEAST_PART ? [begin, end, ...solution.t] : solution.t;
    for (const t of times) if (!onlyPositive || t > 0) [least, largest] = [Math.min(least, t), Math.max(largest, t)];
  }
  if (!(least < largest)) return null;
  return onlyPositive ? [Math.log10(least), Math.log10(largest)] : [least, largest];
}

// Whether there is something to see where the independent variable is logarithmic.
export const reachesPositive = (runs) => timeRange(runs, true) !== null;

function layoutOf(made, independent, time = null) {
  const { ink, muted, grid, surface } = palette();
  const font = { family: getComputedStyle(document.body).fontFamily, size: narrow() ? 12 : 13, color: ink };
  const axis = { gridcolor: grid, zerolinecolor: grid, linecolor: muted, tickcolor: muted, tickfont: { color: muted }, automargin: true, zeroline: false, exponentformat: "power", minexponent: 5 };
  const shared = {
    font, paper_bgcolor: surface, plot_bgcolor: surface, uirevision: "kept", margin: { l: 56, r: 12, t: 30, b: 40 },
    legend: { orientation: "h", x: 0, xanchor: "left", y: 1.01, yanchor: "bottom", itemwidth: 36, bgcolor: "rgba(0,0,0,0)" }, showlegend: made.traces.length > 1,
    hoverlabel: { bgcolor: surface, bordercolor: grid, font: { color: ink } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: muted, activecolor: ink },
  };
  if (made.three) {
    const scene = Object.fromEntries(["x", "y", "z"].map((place, k) => [`${place}axis`, { ...axis, title: { text: made.axes[k]?.print }, backgroundcolor: surface, showbackground: false }]));
    scene.camera = { eye: { x: 0.8, y: -2, z: 0.7 }, center: { x: 0, y: 0, z: -0.15 } }; // all of it, without empty space above
    return { ...shared, margin: { l: 0, r: 0, t: 10, b: 0 }, scene, showlegend: made.traces.length > 2 };
  }
  const { title, ...xmore } = made.x ?? time ?? {};
  const extra = Object.fromEntries(Object.entries(made.more ?? {}).map(([name, given]) => [name, { ...axis, ...given }]));
  return {
    ...shared, hovermode: made.hovermode ?? "x unified",
    xaxis: { ...axis, autorange: !xmore.range, title: title ?? { text: independent }, ...xmore, ...(made.more ? { anchor: "y2" } : {}) },
    yaxis: { ...axis, autorange: !made.y.range, ...made.y }, ...extra,
    ...(made.traces.length ? {} : { xaxis: { visible: false }, yaxis: { visible: false }, annotations: [{ text: escaped(made.caption), showarrow: false, x: 0.5, y: 0.5, xref: "paper", yref: "paper", font: { color: muted, size: 15 } }] }),
  };
}

// Draws one tab; resolves when the picture is there, with the caption.
export async function draw(box, tab, runs, view) {
  const made = KINDS[tab](runs, view);
  if (!made.traces.length && !runs.some((run) => run.solution)) made.caption = "No solution yet";
  else if (!made.traces.length && !["training", "comparison"].includes(tab)) made.caption = "Nothing to draw: no component is chosen, or no figures were returned";
  const independent = printed(runs.find((run) => run.solution)?.solution.independent ?? "t");
  const timed = TIMED.includes(tab);
  const log = timed && view.logarithmic && reachesPositive(runs);
  const range = timed ? timeRange(runs, log) : null;
  const layout = layoutOf(made, independent, range && { range, type: log ? "log" : "linear" });
  layout.uirevision = tab;
  // A part that was enlarged stays so while a slider is dragged, not for a new run.
  for (const name of Object.keys(layout).filter((each) => /^[xy]axis/.test(each))) {
    layout[name].uirevision = JSON.stringify([tab, view.revision, range, log, layout[name].type ?? "", name === "yaxis" && Boolean(made.y.range)]);
  }
  const kind = made.three ? "three" : "flat";
  if (box.dataset.kind && box.dataset.kind !== kind) Plotly.purge(box); // a scene and axes do not share a canvas well
  box.dataset.kind = kind;
  box.dataset.traces = made.traces.length;
  await Plotly.react(box, made.traces, layout, { ...CONFIG, displayModeBar: narrow() ? false : "hover" });
  return made.traces.length ? made.caption : "";
}

export async function drawLoss(box, losses) {
  const run = { losses, dash: 0 };
  const made = trainingPlot([run], null, 4);
  const layout = layoutOf(made, "iteration");
  layout.margin = { l: 56, r: 8, t: 6, b: 36 };
  await Plotly.react(box, made.traces, layout, { ...CONFIG, displayModeBar: false });
}

export const lineSample = (dash) => ({ solid: "", dash: "8 5", dot: "2 4", dashdot: "8 4 2 4", longdash: "13 5", longdashdot: "13 4 2 4" })[DASHES[dash % DASHES.length]];

