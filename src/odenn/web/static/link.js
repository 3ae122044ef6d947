// The whole state as the part of the address behind #: base64url of JSON in UTF-8.

export function encode(state) {
  const bytes = new TextEncoder().encode(JSON.stringify(state));
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

export class DamagedLink extends Error {}

export function decode(hash) {
  let state;
  try {
    const text = hash.replace(/^#/, "").replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    state = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    throw new DamagedLink("it is damaged or cut off; copy it whole.");
  }
  if (!record(state) || !record(state.spec)) throw new DamagedLink("it holds no description of a run.");
  return state;
}

const record = (value) => typeof value === "object" && value !== null && !Array.isArray(value);
const number = Number.isFinite; // of numbers only: "2" is none
const text = (value) => typeof value === "string";
const oneOf = (choices) => (value) => (choices ?? []).some((each) => (each.name ?? each) === value);
const free = (check) => (value) => value === null || check(value);

// The fields of a specification: their names on the page, and what they take.
const fields = (choices) => ({
  equations: ["the equations", text],
  initial: ["the initial conditions", text],
  span: ["the span", (value) => Array.isArray(value) && value.length === 2 && value.every(number)],
  params: ["the parameters", (value) => record(value) && Object.values(value).every(number)],
  rtol: ["the tolerance", number],
  atol: ["the absolute tolerance", free(number)],
  method: ["the method", oneOf(choices.methods)],
  network: ["the network", (value) => record(value) && (value.hidden === undefined || (Array.isArray(value.hidden) && value.hidden.every(number)))],
  optimizer: ["the optimiser", (value) => record(value) && (value.name === undefined || oneOf(choices.optimizers)(value.name))],
  windows: ["the windows", (value) => value === "auto" || number(value)],
  stages: ["the stages", number],
  points: ["the collocation points", free(number)],
  data: ["the data", (value) => record(value) && (value.kind === undefined || oneOf(choices.data)(value.kind))],
  seed: ["the seed", number],
  seconds: ["the time limit", number],
  verify: ["the comparison", (value) => typeof value === "boolean"],
  stiff: ["the stiffness", free((value) => typeof value === "boolean")],
});

export const sensibleRanges = (ranges) =>
  Object.fromEntries(Object.entries(record(ranges) ? ranges : {}).filter(([, ends]) => Array.isArray(ends) && ends.length === 2 && ends.every(number) && ends[0] < ends[1]));

// A specification without the fields that make no sense, and the names of those.
export function sensible(spec, choices) {
  const known = fields(choices);
  const kept = Object.entries(spec).filter(([name, value]) => known[name]?.[1](value));
  const doubtful = Object.keys(spec).filter((name) => known[name] && !known[name][1](spec[name])).map((name) => known[name][0]);
  return { spec: Object.fromEntries(kept), doubtful };
}
