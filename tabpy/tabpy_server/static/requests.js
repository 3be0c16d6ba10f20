/* The latest requests, a row each. */

import { element } from "./shell.js";

/** Shows them; `onlyFailed`: those that failed. */
export function showRequests(requests, onlyFailed) {
  const shown = onlyFailed ? requests.filter((each) => each.error !== null) : requests;
  element("requests").hidden = shown.length === 0;
  element("no-requests").hidden = shown.length > 0;
  element("requests").querySelector("tbody").replaceChildren(...shown.map(row));
}

function row(request) {
  const made = document.createElement("tr");
  const when = document.createElement("time");
  const at = new Date(request.at * 1000);
  when.dateTime = at.toISOString();
  when.textContent = at.toLocaleTimeString();
  made.insertCell().append(when);
  made.insertCell().textContent = request.user ?? "unknown";
  made.insertCell().textContent = what(request);
  const outcome = made.insertCell();
  outcome.className = request.error !== null ? "bad" : "";
  outcome.textContent = outcomeOf(request);
  for (const ms of [request.queued_ms, request.run_ms]) {
    const cell = made.insertCell();
    cell.className = "number";
    cell.textContent = milliseconds(ms);
  }
  const id = document.createElement("code");
  id.textContent = request.id;
  made.insertCell().append(id);
  return made;
}

/** Calls a script and a function by what they are for people, anything else by its route. */
function what({ method, route }) {
  const query = /(?:^|\/)query\/([^/]+)$/.exec(route);
  if (query) return `function ${readable(query[1])}`;
  if (method === "POST" && route.endsWith("/evaluate")) return "script";
  return `${method} ${route}`;
}

function readable(encoded) {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded; // whatever a client sent
  }
}

function outcomeOf({ status, error, line, function: name }) {
  if (status === 499) return "cancelled by the client";
  if (error === null) return "done";
  const place = line === null ? "" : `, line ${line}${name === null ? "" : ` in ${name}`}`;
  return `${error}${place}`;
}

export function milliseconds(ms) {
  if (ms < 1000) return `${ms.toLocaleString(undefined, { maximumFractionDigits: ms < 10 ? 1 : 0 })} ms`;
  return `${(ms / 1000).toLocaleString(undefined, { maximumFractionDigits: 1 })} s`;
}
