// The whole state as the part of the address behind #: base64url of JSON in UTF-8.

export function encode(state) {
  const bytes = new TextEncoder().encode(JSON.stringify(state));
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

export function decode(hash) {
  const text = hash.replace(/^#/, "").replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const state = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  if (typeof state !== "object" || state === null || typeof state.spec !== "object" || state.spec === null) {
    throw new TypeError("it has no description of a run");
  }
  return state;
}
