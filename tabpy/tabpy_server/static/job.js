/* Having the server run a script, once. */

import { address } from "./shell.js";

const BETWEEN = 1000; // milliseconds between looks for a server that is away

/**
 * Runs a script; `data` is JSON, sent as it is: a number that JavaScript would round reaches Python
 * unchanged. Aborting by `signal` ends it on the server, too.
 *
 * Returns `{response, printed}`, the response as JSON, or `{message, info, printed}` for a failure.
 * Throws if there is no answer.
 */
export async function run(script, data, signal) {
  const reply = await fetch(address("page/evaluate?debug=true"), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: `{"script": ${JSON.stringify(script)}, "data": ${data}}`,
    signal,
  });
  const text = (await reply.text()).trim();
  return text.startsWith('{"response":') ? takenApart(text) : failure(text, reply.status);
}

/** What was returned, as it came, and what was printed. */
function takenApart(reply) {
  // The text of what was printed comes last, and has no bare quotes in it.
  const response = reply.slice('{"response":'.length, reply.lastIndexOf(',"printed":'));
  return { response, printed: JSON.parse(reply).printed };
}

/** Something between here and the server, such as Heroku's router, may have answered with HTML. */
function failure(text, status) {
  try {
    return JSON.parse(text);
  } catch {
    return { message: `Status ${status}`, info: "The answer is not the server's own." };
  }
}

/** Waits until the server answers, or `signal` says that nobody cares any more. */
export async function answersAgain(signal) {
  while (!signal.aborted) {
    const isThere = await fetch(address("healthz"), { signal }).then((reply) => reply.ok, () => false);
    if (isThere) return true;
    await new Promise((done) => { setTimeout(done, BETWEEN); });
  }
  return false;
}
