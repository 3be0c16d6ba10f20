import { address, element, show } from "./shell.js";

/* Try a script */

function numberLines(failing) {
  const lines = element("script").value.split("\n").map((_, index) => {
    const line = document.createElement("div");
    line.textContent = index + 1;
    line.classList.toggle("failing", index + 1 === failing);
    return line;
  });
  element("lines").replaceChildren(...lines);
  element("lines").scrollTop = element("script").scrollTop;
}

/** What a script's value means to Tableau, which wants one value, or as many as it sent rows. */
function verdict(value, data) {
  if (value === null) return "Nothing returned: a Tableau calculation needs a value";
  if (!Array.isArray(value)) {
    return typeof value === "object" ? "A table" : "One value";
  }
  const values = value.length === 1 ? "1 value" : `${value.length} values`;
  const rows = Array.isArray(data?._arg1) ? data._arg1.length : null;
  if (rows === null) return values;
  const fits = value.length === 1 || value.length === rows;
  return `${values} for ${rows} rows${fits ? "" : `: Tableau expects 1 or ${rows}`}`;
}

/** What was returned, as it came, since JavaScript would round its numbers; and what was printed. */
function takenApart(text) {
  const reply = text.trim();
  // The text of what was printed comes last, and has no bare quotes in it.
  const response = reply.slice('{"response":'.length, reply.lastIndexOf(',"printed":'));
  return { response, printed: JSON.parse(reply).printed };
}

/** Writes letters where JSON that is ASCII has their numbers; it still means the same. */
function withLetters(json) {
  return json.replace(/\\(u[0-9a-f]{4}|.)/gi, (escape, what) => {
    const code = what.length > 1 ? parseInt(what.slice(1), 16) : 0;
    return code >= 0xa0 ? String.fromCharCode(code) : escape;
  });
}

function showReply(text, data) {
  const { response, printed } = takenApart(text);
  show("verdict", verdict(JSON.parse(response), data));
  show("result", withLetters(response));
  show("printed", printed);
}

function showError({ message, info, printed }) {
  show("error-message", message);
  show("error-info", info);
  show("printed", printed ?? "");
  element("error").hidden = false;
}

/** Marks the line of the script that the server's `info` names in a line of its own. */
function showFailingLine(info) {
  numberLines(Number(/^line (\d+)/m.exec(info)?.[1]));
  const line = element("lines").querySelector(".failing");
  const { scrollTop, clientHeight } = element("script");
  const seen = line && line.offsetTop >= scrollTop
    && line.offsetTop + line.offsetHeight <= scrollTop + clientHeight;
  if (line && !seen) element("script").scrollTop = line.offsetTop - clientHeight / 2;
}

/** Posts the texts as they are: a number that JavaScript would round reaches Python unchanged. */
async function evaluate(script, data) {
  const response = await fetch(address("page/evaluate?debug=true"), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: `{"script": ${JSON.stringify(script)}, "data": ${data}}`,
  });
  return { ok: response.ok, status: response.status, text: await response.text() };
}

async function run() {
  if (element("run").getAttribute("aria-busy") === "true") return;
  for (const id of ["result", "printed", "error", "verdict", "time"]) element(id).hidden = true;
  numberLines();

  const data = element("data").value.trim() || "{}";
  let parsed;
  try {
    parsed = JSON.parse(data);
  } catch (error) {
    element("data").setAttribute("aria-invalid", "true");
    return showError({ message: "The data is not JSON", info: error.message });
  }
  element("run").setAttribute("aria-busy", "true");
  const start = performance.now();
  try {
    const reply = await evaluate(element("script").value, data);
    show("time", `${Math.round(performance.now() - start)} ms, network included`);
    if (reply.ok) return showReply(reply.text, parsed);
    const error = asError(reply);
    showError(error);
    showFailingLine(error.info);
  } catch {
    showError({ message: "No reply", info: "The server can't be reached, or hung up." });
  } finally {
    element("run").setAttribute("aria-busy", "false");
  }
}

/** Something between here and the server, such as Heroku's router, may have answered with HTML. */
function asError({ status, text }) {
  try {
    return JSON.parse(text);
  } catch {
    return { message: `Status ${status}`, info: "The answer is not the server's own." };
  }
}

if (element("try")) {
  element("run").addEventListener("click", run);
  element("try").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
  });
  element("script").addEventListener("input", () => numberLines());
  element("script").addEventListener("scroll", () => {
    element("lines").scrollTop = element("script").scrollTop;
  });
  element("data").addEventListener("input", () => element("data").removeAttribute("aria-invalid"));
  numberLines();
}
