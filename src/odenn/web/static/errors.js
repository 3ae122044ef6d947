// A message under the field that it is about, with a caret under the column where there is one.
import { byId, capital, element, paragraph } from "./dom.js";

const told = (line) => paragraph(capital(line.trim())); // a name between backticks keeps its spelling

export class FieldError extends Error {
  constructor(message, field, place = {}) {
    super(message);
    this.field = field;
    this.line = place.line ?? null;
    this.column = place.column ?? null;
  }
}

// The fields by the name that a message gives: "optimizer.lr" has one of its own, "params.k" belongs to "params".
function fieldOf(name) {
  for (let rest = name ?? ""; rest; rest = rest.slice(0, Math.max(rest.lastIndexOf("."), 0))) {
    const alias = rest === "network" && byId("hidden").closest("[data-field]").hidden === false ? "hidden" : rest;
    const found = document.querySelector(`[data-field="${CSS.escape(alias.replace("network.hidden", "hidden"))}"]`);
    if (found && !found.hidden) return found;
  }
  return null;
}

function lines(message, control, place) {
  const parts = [];
  const text = message.split("\n");
  const caret = text.findIndex((line) => /^\s*\^\s*$/.test(line));
  if (caret > 0) {
    const before = text.slice(0, caret - 1).map((line) => line.trim()).filter(Boolean);
    const indent = Math.min(text[caret].search(/\S/), text[caret - 1].search(/\S/));
    parts.push(...before.map(told));
    parts.push(element("pre", {}, `${text[caret - 1].slice(indent)}\n${text[caret].slice(indent)}`));
    parts.push(...text.slice(caret + 1).map(told));
    return parts;
  }
  parts.push(...text.map(told));
  const content = control?.value?.split("\n")[(place.line ?? 1) - 1];
  if (place.column && content !== undefined) {
    parts.splice(1, 0, element("pre", {}, `${content}\n${" ".repeat(place.column - 1)}^`));
  }
  return parts;
}

export function showError(error) {
  const field = fieldOf(error.field);
  if (!field) return null;
  const box = field.querySelector(".error");
  const controls = [...field.querySelectorAll("input, select, textarea")];
  const named = controls.find((control) => control.dataset.name && error.field === `params.${control.dataset.name}`);
  const control = named ?? controls[0];
  box.replaceChildren(...lines(error.message, control, error));
  box.hidden = false;
  for (const each of named ? [named] : controls.filter((c) => c.type !== "range" && !c.classList.contains("bound"))) {
    each.setAttribute("aria-invalid", "true");
  }
  const folded = field.closest("details");
  if (folded) folded.open = true;
  return control;
}

export function clearError(name) {
  for (const field of name ? [fieldOf(name)] : document.querySelectorAll("[data-field]")) {
    if (!field) continue;
    const box = field.querySelector(".error");
    if (box) {
      box.hidden = true;
      box.replaceChildren();
    }
    for (const each of field.querySelectorAll("[aria-invalid]")) each.removeAttribute("aria-invalid");
  }
}

// What a refusal of the server says.
export async function refusal(response) {
  let said = {};
  try {
    said = await response.json();
  } catch {
    // not JSON: something in between answered
  }
  return new FieldError(said.message ?? `The server answered ${response.status} ${response.statusText}.`, said.field, said);
}
