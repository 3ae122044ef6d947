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

export const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;

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

export function debounced(wait, action) {
  let timer;
  const later = (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...given), wait);
  };
  later.cancel = () => clearTimeout(timer);
  return later;
}
