// A run as the server tells it: one JSON object a line. Aborting the signal closes the connection, which ends the run.
import { refusal } from "./errors.js";

export async function post(path, content, signal) {
  const response = await fetch(path, {
    method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(content), signal,
  });
  if (!response.ok) throw await refusal(response);
  return response;
}

export async function* events(content, signal) {
  const response = await post("/api/runs", content, signal);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) break;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line) yield JSON.parse(line);
  }
  if (rest) yield JSON.parse(rest);
}

export const stop = (id) => post(`/api/runs/${encodeURIComponent(id)}/stop`, {});
