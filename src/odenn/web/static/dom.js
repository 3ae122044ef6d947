// The few things that every module needs of the document. Text is always set as text, never as HTML.

export const byId = (id) => document.getElementById(id);

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name === "class") made.className = value;
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

// A line of a message; what it has between backticks is code.
export const paragraph = (line) =>
  element("p", {}, ...line.trim().split(/`([^`]+)`/).map((part, k) => (k % 2 ? element("code", {}, part) : part)));

export const capital = (text) => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;

export const sentence = (text) => `${capital(text)}${/[.!?]$/.test(text) ? "" : "."}`;

// Equations or conditions in one line, without comments.
export const plain = (text) => (text ?? "").replace(/#.*/g, "").replace(/\s+/g, " ").trim();

// A number as people write it: 1e-6, 0.01234, 22026.47.
export function short(value, digits = 3) {
  if (value === null || value === undefined) return "–";
  const text = Number(value.toPrecision(digits)).toString();
  const plain = value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6);
  return (plain ? Number(value.toPrecision(digits)).toExponential() : text).replace("e+", "e").replace("-", "\u2212").replace("e-", "e\u2212");
}

// The same to be typed in again: every digit, and an ordinary minus.
export function exact(value) {
  if (value === null || value === undefined) return "";
  const size = Math.abs(value);
  return (size !== 0 && (size < 1e-3 || size >= 1e9) ? value.toExponential() : String(value)).replace("e+", "e");
}

// A number into a field, unless it is there already, perhaps as 2*pi.
export function put(field, value) {
  if (value === null || value === undefined || numeric(field.value) !== value) field.value = exact(value);
}

// A number as people type it: 2, 1e-3, 2*pi, pi/4; NaN for anything else.
export function numeric(text) {
  const parts = text.trim().replaceAll("\u2212", "-").split(/([*/])/);
  const factor = (part) => {
    const [, sign, name] = /^\s*([+-]?)\s*(pi|\u03c0)\s*$/.exec(part) ?? [];
    if (name) return sign === "-" ? -Math.PI : Math.PI;
    return part.trim() === "" ? NaN : Number(part);
  };
  let value = factor(parts[0]);
  for (let k = 1; k < parts.length; k += 2) value = parts[k] === "*" ? value * factor(parts[k + 1]) : value / factor(parts[k + 1]);
  return value;
}

export const commaHint = (text) => (/^[+-]?\d+,\d+$/.test(text.trim()) ? ` The decimal sign is a point: ${text.trim().replace(",", ".")}.` : "");

export function debounced(wait, action) {
  let timer;
  const later = (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...given), wait);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}
