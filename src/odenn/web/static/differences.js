// What differs between runs, in words for a legend.
import { plain, short } from "./dom.js";

const METHODS = { collocation: "collocation", residual: "residual training", "data-fit": "data fit" };

// The parts of a specification that matter to a reader, as text by name.
function parts(spec) {
  const network = spec.network?.hidden ? `${spec.network.hidden.join("-")} ${spec.network.activation}` : spec.network?.kind;
  const found = {
    equations: plain(spec.equations),
    conditions: plain(spec.initial),
    span: spec.span ? `${short(spec.span[0])} to ${short(spec.span[1])}` : undefined,
    method: METHODS[spec.method] ?? spec.method,
    network,
    tolerance: spec.rtol === undefined ? undefined : short(spec.rtol),
    "absolute tolerance": spec.atol === null || spec.atol === undefined ? "automatic" : short(spec.atol),
    stiff: spec.stiff === null || spec.stiff === undefined ? "detected" : String(spec.stiff),
  };
  for (const [name, value] of Object.entries(spec.params ?? {})) found[name] = short(value, 6);
  if (spec.method !== "collocation") {
    found.optimiser = spec.optimizer?.name;
    found.iterations = spec.optimizer?.iterations ?? undefined;
    found["learning rate"] = spec.optimizer?.lr ?? undefined;
    found.windows = String(spec.windows ?? "auto");
    found.seed = String(spec.seed ?? 0);
    found.stages = spec.stages;
    found.points = spec.points ?? undefined;
  }
  if (spec.method === "data-fit") found.data = spec.data?.kind + (spec.data?.step ? ` step ${short(spec.data.step)}` : "");
  return found;
}

const clip = (text, most = 32) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

// Words for every run: `label`, short enough for a legend, and `full` for the list of runs.
export function labels(specs) {
  const all = specs.map(parts);
  const names = [...new Set(all.flatMap(Object.keys))];
  const differing = names.filter((name) => new Set(all.map((each) => each[name])).size > 1);
  const words = (each, wanted) =>
    differing
      .filter((name) => each[name] !== undefined && wanted(name))
      .map((name) => (["method", "equations"].includes(name) ? each[name] : `${name} = ${each[name]}`))
      .join(", ");
  const titled = (k, text) => (text ? `run ${k + 1}: ${text}` : `run ${k + 1}`);
  return all.map((each, k) => ({
    label: titled(k, clip(words(each, (name) => !["equations", "conditions"].includes(name)))),
    full: titled(k, words(each, () => true)),
  }));
}
