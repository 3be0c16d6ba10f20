/* Makes the requests of Tableau's Test Connection, and says what came of each. */

import { address, element } from "./shell.js";

// What Tableau sends to find out whether it may run scripts: the answer has to be a 1.
const PROBE = { script: "return int(1)", data: { _arg1: [4] } };

/** Shows a step with its outcome: what it is, what was found, and whether that is right. */
function report(what, found, isRight) {
  const step = document.createElement("li");
  step.className = isRight ? "right" : "wrong";
  const outcome = document.createElement("span");
  outcome.textContent = isRight ? "Works" : "Fails";
  step.append(outcome, ` ${what}: ${found}`);
  element("steps").append(step);
}

async function ask(route, options) {
  const start = performance.now();
  const response = await fetch(address(route), options);
  const reply = await response.json();
  return { response, reply, time: `${Math.round(performance.now() - start)} ms` };
}

const said = ({ message, info }) => [message, typeof info === "string" ? info : ""].join(" ").trim();

async function askInfo() {
  const what = "The server says what it is (GET /info)";
  const { response, reply, time } = await ask("info");
  if (!response.ok) return report(what, said(reply), false);
  const isRequired = Boolean(reply.versions?.v1?.features?.authentication);
  const isRight = isRequired === (element("steps").dataset.required === "true");
  const signIn = isRequired ? "with a user name and a password" : "without a password";
  report(what, `TabPy ${reply.server_version}, ${signIn}, ${time}`, isRight);
}

async function askScript() {
  const what = "A script runs (POST /evaluate)";
  const headers = { "Content-Type": "application/json" };
  const options = { method: "POST", headers, body: JSON.stringify(PROBE) };
  const { response, reply, time } = await ask("evaluate", options);
  if (!response.ok) return report(what, said(reply), false);
  report(what, `it answered ${JSON.stringify(reply)}, ${time}`, reply === 1);
}

element("test").addEventListener("click", async () => {
  const button = element("test");
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  element("steps").replaceChildren();
  try {
    await askInfo();
    if ("evaluates" in button.dataset) await askScript();
  } catch {
    report("No answer", "the server can't be reached, or hung up", false);
  } finally {
    button.setAttribute("aria-busy", "false");
  }
});
