/* One function: calls it with what the form has, and changes it after a question. */

import { beginning } from "./exact.js";
import { address, element, show } from "./shell.js";

const name = encodeURIComponent(element("name").textContent);

/** Asks the server; returns its answer's text, or throws its error. */
async function ask(method, route, body) {
  let response;
  try {
    response = await fetch(address(route), {
      method,
      headers: { "Content-Type": "application/json" },
      body,
    });
  } catch {
    throw { message: "No answer", info: "The server can't be reached, or hung up." };
  }
  const text = await response.text();
  if (response.ok) return text;
  try {
    throw JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw { message: `Status ${response.status}`, info: "The answer is not the server's own." };
  }
}

/* Calling */

/** The arguments as JSON, put together as text: a number that JavaScript would round stays itself. */
function argumentsOf(form) {
  if ("positional" in form.dataset) return checked(element("arguments"));
  const given = [...form.querySelectorAll("[data-argument]")].filter((field) => field.value.trim());
  return `{${given.map((each) => `${JSON.stringify(each.dataset.argument)}: ${checked(each)}`)}}`;
}

/** The field's text, if it is JSON; else throws what to tell. */
function checked(field) {
  try {
    JSON.parse(field.value);
  } catch (error) {
    field.setAttribute("aria-invalid", "true");
    field.focus();
    const what = field.dataset.argument ?? "The list";
    throw { message: `${what} is not JSON`, info: `${error.message}. A text needs quotes around it.` };
  }
  return field.value.trim();
}

function describe(value) {
  if (!Array.isArray(value)) return value === null ? "Nothing returned" : "One value";
  return value.length === 1 ? "1 value" : `${value.length} values`;
}

async function call(form) {
  if (element("run").getAttribute("aria-busy") === "true") return;
  for (const id of ["answer", "printed", "error", "verdict", "time"]) element(id).hidden = true;
  element("run").setAttribute("aria-busy", "true");
  const start = performance.now();
  try {
    const body = `{"data": ${argumentsOf(form)}}`;
    const reply = JSON.parse(await ask("POST", `page/query/${name}?debug=true`, body));
    show("verdict", describe(reply.response));
    show("answer", beginning(JSON.stringify(reply.response)));
    show("printed", reply.printed);
    show("time", `${Math.round(performance.now() - start)} ms, network included`);
  } catch (error) {
    show("error-message", error.message);
    show("error-info", error.info);
    show("printed", error.printed ?? "");
    element("error").hidden = false;
  } finally {
    element("run").setAttribute("aria-busy", "false");
  }
}

const form = element("call");
if (form) {
  form.addEventListener("submit", (event) => { event.preventDefault(); call(form); });
  form.addEventListener("input", ({ target }) => target.removeAttribute("aria-invalid"));
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) call(form);
  });
}

/* Changing */

/** Asks a person; resolves to whether they said yes. */
function confirmed(title, text, yes) {
  element("confirm-title").textContent = title;
  element("confirm-text").textContent = text;
  element("confirm-yes").textContent = yes;
  const dialog = element("confirm");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

element("confirm-yes").addEventListener("click", () => element("confirm").close("yes"));
element("confirm-no").addEventListener("click", () => element("confirm").close(""));

async function change(method, route, body, then) {
  element("change-error").textContent = "";
  try {
    await ask(method, route, body);
    then();
  } catch ({ message, info }) {
    element("change-error").textContent = `${message} ${info}`;
  }
}

const again = () => location.reload();
const title = element("name").textContent;

for (const button of document.querySelectorAll("[data-roll-back]")) {
  button.addEventListener("click", async () => {
    const version = Number(button.dataset.rollBack);
    const text = `Calculations that call ${title} get its answers from then on.`;
    if (!await confirmed(`Go back to version ${version}?`, text, "Roll back")) return;
    change("POST", `endpoints/${name}/rollback`, JSON.stringify({ version }), again);
  });
}

element("make-public")?.addEventListener("click", ({ currentTarget }) => {
  change("PUT", `endpoints/${name}`, `{"is_public": ${currentTarget.dataset.to}}`, again);
});

element("remove")?.addEventListener("click", async () => {
  const text = "Calculations that call it fail from then on, and its versions can't be brought back.";
  if (!await confirmed(`Remove ${title}?`, text, "Remove")) return;
  change("DELETE", `endpoints/${name}`, undefined, () => {
    location.href = address("page/functions");
  });
});
