// What the server answers. A run is told as one JSON object a line; aborting the signal closes the connection, which ends
// the run.
import { refusal } from "./errors.js";

// A connection that fails is a TypeError for browsers, like a mistake in a script.
async function reached(answer) {
  try {
    return await answer;
  } catch (error) {
    throw error instanceof TypeError ? new Error("The server cannot be reached: is odenn web still running?") : error;
  }
}

export async function ask(path, options) {
  const response = await reached(fetch(path, options));
  if (!response.ok) throw await refusal(response);
  return response;
}

export const post = (path, content, signal) =>
  ask(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(content), signal });

export async function* events(path, content, signal) {
  const response = await post(path, content, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reached(reader.read());
    if (done) return; // what is left is part of a line that was cut off
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line) yield JSON.parse(line);
  }
}

export const runPath = (id, what) => `/api/runs/${encodeURIComponent(id)}/${what}`;
