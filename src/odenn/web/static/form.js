// What is typed and chosen <-> the specification of a run (the JSON of POST /api/runs).
import { byId, commaHint, debounced, element, exact, numeric, plain, put } from "./dom.js";
import { clearError, FieldError, showError } from "./errors.js";
import { Parameters } from "./parameters.js";
import { post } from "./stream.js";

const READ_AFTER = 250; // ms without a key before the equations are read
const READ = ["equations", "initial", "span-from", "span-to"]; // fields that are read while they are typed

function numberIn(id, name, whole = false) {
  const text = byId(id).value.trim();
  const value = numeric(text);
  if (!Number.isFinite(value) || (whole && !Number.isInteger(value))) {
    const kind = whole ? "a whole number such as 100" : "a finite number such as 0.5 or 1e-6";
    throw new FieldError(`${name} takes ${kind}, got ${text || "nothing"}.${commaHint(text)}`, byId(id).closest("[data-field]").dataset.field);
  }
  return value;
}

// Fields that take a number, and those of the parameters.
const typable = () => [...document.querySelectorAll("[data-field] input[type=text]")];

const optional = (id, name, whole) => (byId(id).value.trim() === "" ? null : numberIn(id, name, whole));

const entry = (given) => (typeof given === "string" ? { name: given, label: given, explanation: "" } : given);

export class Form {
  // `solve()`: a parameter was moved; `edited()`: anything else changed.
  constructor({ solve, edited }) {
    this.edited = edited;
    this.parameters = new Parameters(solve, edited);
    this.upload = null; // {upload, name, columns, rows} of a CSV file
    this.reading = null;
    this.independent = "t"; // of the equations as they were last read
    this.choices = null;
    const later = debounced(READ_AFTER, () => this.readNow());
    this.later = later;
    for (const id of READ) {
      byId(id).addEventListener("input", () => {
        byId("mathematics").classList.add("stale");
        byId("gallery").value = ""; // it is no longer the problem from there
        later();
        edited();
      });
    }
    byId("form").addEventListener("change", (event) => {
      const field = event.target.closest("[data-field]");
      // What is read keeps its message until it reads well: being left does not mend it.
      if (field && !READ.includes(event.target.id) && !event.target.id.startsWith("parameter-")) clearError(field.dataset.field);
      this.arrange();
      edited();
    });
  }

  setChoices(choices) {
    this.choices = choices;
    const methods = choices.methods.map((each) =>
      element("label", {},
        element("input", { type: "radio", name: "method", value: each.name, id: `method-${each.name}` }),
        element("span", {}, each.label),
        element("span", { class: "hint" }, each.explanation)));
    byId("methods").replaceChildren(...methods);
    for (const [id, given] of [["units", choices.networks], ["activation", choices.activations], ["optimizer", choices.optimizers], ["data-kind", choices.data]]) {
      byId(id).replaceChildren(...given.map(entry).map((each) => element("option", { value: each.name }, each.label ?? each.name)));
    }
  }

  get method() {
    return document.querySelector("input[name=method]:checked")?.value ?? "collocation";
  }

  // Shows what belongs to the chosen method, and what the choices mean.
  arrange() {
    const { method } = this;
    for (const field of document.querySelectorAll("#form [data-for]")) field.hidden = !field.dataset.for.split(" ").includes(method);
    const explained = (id, given) => given.map(entry).find((each) => each.name === byId(id).value)?.explanation ?? "";
    byId("hint-units").textContent = explained("units", this.choices.networks);
    byId("hint-activation").textContent = explained("activation", this.choices.activations);
    byId("hint-optimizer").textContent = explained("optimizer", this.choices.optimizers);
    byId("hint-data").textContent = explained("data-kind", this.choices.data);
    const source = byId("data-kind").value;
    byId("step-field").hidden = !["euler", "rk4"].includes(source);
    byId("csv-field").hidden = source !== "csv";
    byId("hint-parameters").textContent =
      `${method === "collocation" ? "Drag, and the curve follows." : "Solve trains with these values."} The numbers at the ends of a slider are its range.`;
    if (byId("optimizer").value === "lm") byId("lr").closest(".field").hidden = true;
    byId("csv-name").textContent = this.upload
      ? `${this.upload.name}: ${this.upload.rows} rows of ${this.upload.columns.join(", ")}`
      : "No file chosen yet.";
  }

  // Fills the form from a specification; what it does not say takes its default.
  write(given, ranges = {}) {
    const defaults = this.choices.defaults;
    const spec = { ...defaults, ...given };
    byId("gallery").value = "";
    const network = { ...given.network };
    byId("equations").value = spec.equations;
    byId("initial").value = spec.initial ?? "";
    const numbers = { "span-from": spec.span[0], "span-to": spec.span[1], rtol: spec.rtol, atol: spec.atol };
    const radio = byId(`method-${spec.method}`) ?? byId("method-collocation");
    radio.checked = true;
    byId("units").value = network.kind ?? "legendre";
    byId("hidden").value = (network.hidden ?? [32, 32, 32]).join(", ");
    byId("activation").value = network.activation ?? "tanh";
    const optimizer = { ...defaults.optimizer, ...given.optimizer };
    byId("optimizer").value = optimizer.name;
    const data = { ...defaults.data, ...given.data };
    byId("data-kind").value = data.kind;
    Object.assign(numbers, { lr: optimizer.lr, iterations: optimizer.iterations, step: data.step, seed: spec.seed, seconds: spec.seconds });
    Object.assign(numbers, { windows: spec.windows === "auto" ? null : spec.windows, stages: spec.stages, points: spec.points });
    for (const [id, value] of Object.entries(numbers)) put(byId(id), value);
    byId("stiff").value = spec.stiff === null || spec.stiff === undefined ? "" : String(spec.stiff);
    byId("verify").checked = spec.verify;
    clearError();
    this.parameters.set(Object.keys(spec.params ?? {}), spec.params, ranges);
    this.arrange();
    this.later.cancel();
    return this.readNow();
  }

  // Numbers that were typed in another way than this page writes them, such as 2*pi, by the ids of their fields.
  get typed() {
    const fields = typable().filter((field) => Number.isFinite(numeric(field.value)) && field.value.trim() !== exact(numeric(field.value)));
    return Object.fromEntries(fields.map((field) => [field.id, field.value.trim()]));
  }

  // The same back into their fields, where these have the same numbers.
  retype(typed) {
    for (const field of typable()) {
      const text = Object.hasOwn(typed, field.id) ? typed[field.id] : null;
      if (typeof text === "string" && numeric(text) === numeric(field.value)) field.value = text;
    }
  }

  // What was changed since a run with this specification, in words. Sliders of collocation solve by themselves.
  changed(spec) {
    const found = [];
    if (plain(spec.equations) !== plain(byId("equations").value)) found.push("equations");
    if (plain(spec.initial) !== plain(byId("initial").value)) found.push("initial conditions");
    const ends = ["span-from", "span-to"].map((id) => numeric(byId(id).value));
    if (spec.span && spec.span.some((end, k) => end !== ends[k])) found.push("span");
    const values = this.parameters.values;
    const moved = Object.entries(spec.params ?? {}).some(([name, value]) => Object.hasOwn(values, name) && values[name] !== value);
    if (moved && this.method !== "collocation") found.push("parameters");
    return found;
  }

  span() {
    return [numberIn("span-from", "The beginning of the span"), numberIn("span-to", "The end of the span")];
  }

  // The specification; a FieldError where a field cannot be used.
  spec() {
    const { method } = this;
    const spec = {
      equations: byId("equations").value,
      initial: byId("initial").value,
      span: this.span(),
      params: this.parameters.checked(),
      rtol: numberIn("rtol", "The tolerance"),
      atol: optional("atol", "The absolute tolerance"),
      method,
      seed: numberIn("seed", "The seed", true),
      seconds: numberIn("seconds", "The time limit"),
      verify: byId("verify").checked,
    };
    if (method === "collocation") {
      const stiff = byId("stiff").value;
      return { ...spec, network: { kind: byId("units").value }, stiff: stiff === "" ? null : stiff === "true" };
    }
    const layers = byId("hidden").value.split(/[\s,;]+/).filter(Boolean);
    if (!layers.length || layers.some((width) => !/^\d+$/.test(width))) {
      throw new FieldError(`The hidden layers are whole numbers such as 32, 32, 32, got ${byId("hidden").value.trim() || "nothing"}.`, "hidden");
    }
    const optimizer = byId("optimizer").value;
    Object.assign(spec, {
      network: { hidden: layers.map(Number), activation: byId("activation").value },
      optimizer: {
        name: optimizer,
        lr: optimizer === "lm" ? null : optional("lr", "The learning rate"),
        iterations: optional("iterations", "The number of iterations", true),
      },
      windows: optional("windows", "The number of windows", true) ?? "auto",
    });
    if (method === "residual") {
      return { ...spec, stages: numberIn("stages", "The number of stages", true), points: optional("points", "The number of points", true) };
    }
    const kind = byId("data-kind").value;
    spec.data = { kind };
    if (kind === "csv") {
      if (!this.upload) throw new FieldError("Choose the CSV file that the network is to be fitted to.", "data");
      spec.data.upload = this.upload.upload;
    } else if (kind !== "reference") {
      spec.data.step = numberIn("step", "The step");
    }
    return spec;
  }

  // Reads the equations now: mathematics or a message, and a slider for every name that is a parameter.
  // Returns whether they could be read.
  async readNow() {
    this.later.cancel();
    this.reading?.abort();
    const reading = (this.reading = new AbortController());
    const params = { ...this.parameters.values };
    for (const name of Object.keys(params)) if (!Number.isFinite(params[name])) params[name] = 1;
    try {
      const content = { equations: byId("equations").value, initial: byId("initial").value, params, span: this.span() };
      clearError("span");
      const found = await (await post("/api/read", content, reading.signal)).json();
      if (reading !== this.reading) return false;
      return await this.#understood(found, params);
    } catch (error) {
      if (error.name === "AbortError") return false;
      this.#refused(error);
      return false;
    }
  }

  async #understood(found, params) {
    const unknown = (found.missing ?? []).filter((name) => !Object.hasOwn(params, name));
    if (!found.ok && unknown.length) {
      this.parameters.set([...this.parameters.rows.keys(), ...unknown]);
      this.edited();
      return this.readNow();
    }
    this.#mathematics(found.mathml);
    if (!found.ok) {
      this.#refused(new FieldError(found.message, found.field ?? "equations", found));
      return false;
    }
    clearError("equations");
    clearError("initial");
    const names = Object.keys(found.parameters ?? {});
    const before = this.parameters.values;
    this.parameters.set(names, { ...found.parameters, ...before }, { ...found.ranges, ...this.parameters.ranges });
    this.independent = found.independent;
    byId("mathematics").classList.remove("stale");
    return true;
  }

  #mathematics(text) {
    if (!text) return;
    const math = new DOMParser().parseFromString(text, "application/xml").documentElement;
    if (math.localName === "math") byId("mathematics").replaceChildren(document.importNode(math, true));
  }

  #refused(error) {
    clearError("equations");
    clearError("initial");
    showError(error);
    byId("mathematics").classList.add("stale");
  }
}
