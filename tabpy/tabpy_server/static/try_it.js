/* Try it: runs a script as a calculation does, and shows what came of it. */

import { scriptCalculation } from "./calculation.js";
import { read } from "./columns.js";
import { beginEditor, markFailing, numberLines, replaceText } from "./editor.js";
import { EXAMPLES } from "./examples.js";
import { answersAgain, run } from "./job.js";
import { forget, keep, kept } from "./kept.js";
import { clearOutcome, resultType, showError, showReply } from "./outcome.js";
import { element, show } from "./shell.js";
import { shownOf, tableOf } from "./table.js";

const PREVIEW = 5; // rows
const KEPT_AFTER = 300; // milliseconds without another change
const LARGEST_FILE = 5_000_000; // bytes; a text field can't hold much more, and Tableau sends less
let named = null; // whether the first row has names, if the person has said so
let result = ""; // the type of what came back
let underWay = null; // what aborts what is under way
let columns = []; // of the data, as far as it can be read
let keeping = 0; // the timer of what is kept when somebody stops typing

/* The data */

function dataSoFar() {
  try {
    return read(element("data").value, named);
  } catch {
    return null; // it isn't finished
  }
}

function showData() {
  const data = dataSoFar();
  columns = data?.columns ?? [];
  element("named-label").hidden = !data?.isTable;
  element("named").checked = Boolean(data?.named);
  element("columns").hidden = columns.length === 0;
  element("columns").replaceChildren(tableOf(columns.map(asArgument), PREVIEW));
  const rows = Math.max(0, ...columns.map((each) => each.values.length));
  show("columns-count", columns.length ? shownOf(rows, PREVIEW) : "");
  showCalculation();
}

function asArgument(column, at) {
  const argument = `_arg${at + 1}`;
  return column.name === argument ? column : { ...column, name: `${argument}: ${column.name}` };
}

function showCalculation() {
  const fields = columns.map(({ name, type }, at) => (
    { name: name === `_arg${at + 1}` ? `Column ${at + 1}` : name, type }
  ));
  element("calculation").textContent = scriptCalculation(element("script").value, fields, result);
}

/** Takes a change of the person's: nobody knows any more what comes back. */
function changed() {
  result = "";
  showCalculation();
  clearTimeout(keeping);
  keeping = setTimeout(keepAll, KEPT_AFTER);
}

function keepAll() {
  keeping = 0;
  const isKept = keep({ script: element("script").value, data: element("data").value, named });
  element("kept").textContent = isKept ? "Kept in this browser" : "Too large to be kept here";
}

function dataChanged() {
  showData();
  changed();
}

async function open(file) {
  if (file.size > LARGEST_FILE) {
    clearOutcome();
    showError({ message: "The file is too large to try here", info: "It may have 5 MB." });
    return;
  }
  replaceText(element("data"), (await file.text()).replace(/^\ufeff/, ""));
}

/* Running */

async function begin() {
  if (element("run").getAttribute("aria-busy") === "true") return;
  underWay?.abort(); // looking for a server that was away
  clearOutcome();
  numberLines();
  let data;
  try {
    data = read(element("data").value, named);
  } catch (error) {
    element("data").setAttribute("aria-invalid", "true");
    const isJson = element("data").value.trim().startsWith("{");
    const message = isJson ? "The data is not JSON" : "The data can't be read";
    showError({ message, info: error.message });
    return;
  }
  const controller = new AbortController();
  underWay = controller;
  const stopClock = startClock();
  try {
    const reply = await run(element("script").value, data.json, controller.signal);
    show("time", `${stopClock().toLocaleString(undefined, { maximumFractionDigits: 3 })} s, network included`);
    ended(reply, data);
  } catch {
    const seconds = stopClock();
    if (controller.signal.aborted) showCancelled(seconds);
    else await lost(controller.signal);
  }
}

function ended(reply, data) {
  if (reply.response === undefined) {
    showError(reply);
    markFailing(typeof reply.info === "string" ? reply.info : "");
    return;
  }
  showReply(reply, data);
  result = resultType(reply.response);
  showCalculation();
}

function showCancelled(seconds) {
  show("verdict", `Cancelled after ${seconds.toFixed(1)} s: the server has stopped the script`);
}

/** The connection is gone: the server may be restarting, and nobody knows whether the script ran. */
async function lost(signal) {
  const message = "No answer";
  showError({ message, info: "The server can't be reached, or was restarted. Waiting until it answers." });
  if (await answersAgain(signal)) {
    showError({ message, info: "The server answers again: run the script once more." });
  }
}

/** Shows the seconds that pass, and Cancel; returns what ends that, and tells how many they were. */
function startClock() {
  const start = performance.now();
  const limit = Number(element("try").dataset.seconds);
  const seconds = () => (performance.now() - start) / 1000;
  const tick = () => {
    element("running").textContent = `${Math.floor(seconds())} s of at most ${limit} s`;
  };
  tick();
  const timer = setInterval(tick, 250);
  setRunning(true);
  return () => {
    clearInterval(timer);
    setRunning(false);
    return seconds();
  };
}

function setRunning(isRunning) {
  const hadFocus = document.activeElement === element("cancel");
  element("run").setAttribute("aria-busy", String(isRunning));
  element("cancel").hidden = !isRunning;
  element("running").hidden = !isRunning;
  element("run-keys").hidden = isRunning;
  if (hadFocus && !isRunning) element("run").focus(); // it would be nowhere
}

/* The beginning */

function beginExamples() {
  for (const { name, script, data } of EXAMPLES) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = name;
    button.addEventListener("click", () => {
      named = null;
      replaceText(element("data"), data);
      replaceText(element("script"), script);
      clearOutcome();
      button.focus();
    });
    element("examples").append(button);
  }
}

function beginAll() {
  const work = kept() ?? EXAMPLES[0];
  named = work.named ?? null;
  element("script").value = work.script ?? "";
  element("data").value = work.data ?? "";
  beginEditor();
  beginExamples();
  showData();
  element("run").addEventListener("click", begin);
  element("cancel").addEventListener("click", () => underWay.abort());
  element("try").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) begin();
  });
  element("script").addEventListener("input", changed);
  element("data").addEventListener("input", () => {
    element("data").removeAttribute("aria-invalid");
    named = null;
    dataChanged();
  });
  element("named").addEventListener("change", () => {
    named = element("named").checked;
    dataChanged();
  });
  addEventListener("pagehide", () => {
    if (keeping) keepAll();
  });
  element("open").addEventListener("click", () => element("file").click());
  element("file").addEventListener("change", async () => {
    const [file] = element("file").files;
    element("file").value = ""; // so that the same one can be opened again
    if (file) await open(file);
  });
  element("clear").addEventListener("click", () => {
    replaceText(element("data"), "");
    replaceText(element("script"), "");
    clearOutcome();
    clearTimeout(keeping);
    keeping = 0;
    forget();
    element("kept").textContent = "Nothing is kept";
    element("clear").focus();
  });
}

if (element("try")) beginAll();
