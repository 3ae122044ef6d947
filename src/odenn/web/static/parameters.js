// A number, a slider and the slider's own range for every parameter.
import { byId, commaHint, element, exact, numeric, put } from "./dom.js";
import { clearError, FieldError, showError } from "./errors.js";

const ONE_COLUMN = "(max-width: 60rem)"; // as in style.css
const STEPS = 200; // of a slider: finer than its pixels

// A step of 1, 2 or 5 times a power of ten, about a 200th of the range.
function niceStep(low, high) {
  const rough = (high - low) / STEPS;
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
}

function defaultRange(value) {
  if (value === 0) return [-1, 1];
  return value > 0 ? [0, 2 * value] : [2 * value, 0];
}

// A number of one digit that is not smaller.
function roundUp(size) {
  const power = 10 ** Math.floor(Math.log10(size));
  return Number((Math.ceil((size / power) * 0.999999) * power).toPrecision(1));
}

// The range with room on both sides of a value that lies outside: 28 makes 0 to 4 go to 60.
function widened([low, high], value) {
  const room = roundUp(2 * Math.abs(value) || Math.max(Math.abs(low), Math.abs(high)));
  if (value > high) return [low, value < 0 ? 0 : room];
  if (value < low) return [value > 0 ? 0 : -room, high];
  return [low, high];
}

export class Parameters {
  // `changed()` is called when a value changes, `viewed()` when the range of a slider does.
  constructor(changed, viewed) {
    this.changed = changed;
    this.viewed = viewed;
    matchMedia(ONE_COLUMN).addEventListener("change", () => this.place());
    this.rows = new Map(); // name -> {value, range, ...}
    this.known = new Map(); // the same and those that left the equations, in case they come back
  }

  get values() {
    return Object.fromEntries([...this.rows].map(([name, row]) => [name, row.value]));
  }

  get ranges() {
    return Object.fromEntries([...this.rows].map(([name, row]) => [name, row.range]));
  }

  // Values as they are typed; a FieldError for one that is no number.
  checked() {
    for (const [name, row] of this.rows) {
      if (!Number.isFinite(row.value)) {
        throw new FieldError(`The parameter ${name} takes a number such as 2 or 1e-3, got ${row.number.value || "nothing"}.${commaHint(row.number.value)}`, `params.${name}`);
      }
    }
    return this.values;
  }

  // These parameters and no others, in this order; values and ranges that are not given stay as they are.
  set(names, values = {}, ranges = {}) {
    const focused = document.activeElement?.id;
    const given = (all, name) => (Object.hasOwn(all, name) ? all[name] : undefined); // a parameter may be called `constructor`
    for (const [name, row] of this.rows) if (!names.includes(name)) this.#leave(row);
    this.rows = new Map();
    for (const name of names) {
      const row = this.known.get(name) ?? this.#row(name);
      row.value = given(values, name) ?? row.value ?? 1;
      row.range = [...(given(ranges, name) ?? row.range ?? defaultRange(row.value))];
      this.rows.set(name, row);
      this.known.set(name, row);
      this.#write(row);
    }
    const wanted = [...this.rows.values()].map((row) => row.box);
    const list = byId("parameters");
    if (wanted.length !== list.children.length || wanted.some((box, k) => list.children[k] !== box)) {
      list.replaceChildren(...wanted);
      if (focused) byId(focused)?.focus();
    }
    byId("parameters-field").hidden = names.length === 0;
    this.place();
  }

  // Where there is one column, sliders belong to the plot: what they move must be in view.
  place() {
    const narrow = matchMedia(ONE_COLUMN).matches;
    const field = byId("parameters-field");
    const place = byId(narrow ? "parameters-place" : "parameters-home");
    if (field.parentElement !== place) place.append(field);
    byId("parameters-note").hidden = !narrow || field.hidden;
  }

  // What was wrong with it goes with it.
  #leave(row) {
    row.number.removeAttribute("aria-invalid");
    if (!Number.isFinite(row.value)) this.known.delete(row.name);
  }

  #row(name) {
    const id = `parameter-${name}`;
    // Where there is one column they are not in the form: they belong to it all the same, for the key Enter.
    const common = { type: "text", inputmode: "decimal", class: "code", form: "form" };
    const row = {
      name,
      number: element("input", { ...common, id, class: "code value", "data-name": name, "aria-describedby": "error-params" }),
      slider: element("input", { type: "range", id: `${id}-slider`, "aria-label": `${name}, slider` }),
      low: element("input", { ...common, class: "code bound", id: `${id}-low`, "aria-label": `${name}, lower end of the slider` }),
      high: element("input", { ...common, class: "code bound upper", id: `${id}-high`, "aria-label": `${name}, upper end of the slider` }),
    };
    row.box = element("div", { class: "parameter" }, element("label", { class: "name", for: id }, name), row.number, row.low, row.slider, row.high);
    row.slider.addEventListener("input", () => {
      const step = niceStep(...row.range);
      const near = Math.round(Number(row.slider.value) / step) * step;
      row.value = Number(Math.min(Math.max(near, row.range[0]), row.range[1]).toPrecision(12));
      row.number.value = exact(row.value);
      row.slider.setAttribute("aria-valuetext", row.number.value);
      this.changed();
    });
    row.number.addEventListener("input", () => {
      row.value = numeric(row.number.value);
      if (!Number.isFinite(row.value)) return;
      row.slider.value = row.value;
      this.changed();
    });
    row.number.addEventListener("change", () => {
      if (Number.isFinite(row.value)) {
        row.range = widened(row.range, row.value);
        this.#write(row);
      }
      this.viewed();
    });
    for (const [k, bound] of [row.low, row.high].entries()) {
      bound.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" || event.ctrlKey || event.metaKey) return;
        event.preventDefault(); // the range is changed, nothing is solved: a message about it must stay
        bound.blur();
        bound.focus();
      });
      bound.addEventListener("change", () => {
        const asked = [...row.range];
        asked[k] = numeric(bound.value);
        clearError("params");
        if (asked[0] < asked[1] && asked.every(Number.isFinite)) {
          row.range = asked;
        } else {
          const kept = row.range.map((end) => exact(end)).join(" to ");
          showError(new FieldError(`The slider of ${name} goes from a smaller to a larger number, got ${row.low.value || "nothing"} to ${row.high.value || "nothing"}: it stays at ${kept}.${commaHint(bound.value)}`, `params.${name}`));
          row.number.removeAttribute("aria-invalid"); // the value is as good as it was
          bound.value = exact(row.range[k]);
        }
        this.#write(row);
        this.viewed();
      });
    }
    return row;
  }

  // The number may lie outside the slider's range, or between its steps: the number is what counts.
  #write(row) {
    const [low, high] = row.range;
    for (const [field, number] of [[row.number, row.value], [row.low, low], [row.high, high]]) {
      // Not over what is being typed, nor over what is no number.
      if (document.activeElement !== field && Number.isFinite(number)) put(field, number);
    }
    row.slider.min = low;
    row.slider.max = high;
    row.slider.step = "any"; // a value that was typed is not moved to the nearest step
    row.slider.value = row.value;
    row.slider.setAttribute("aria-valuetext", exact(row.value));
  }
}
