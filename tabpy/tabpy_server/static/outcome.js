/* What came of a script: its value as a table, a plot and JSON, what it printed, or why it failed. */

import { cell } from "./columns.js";
import { beginning, parseTexts, typeOf, withLetters } from "./exact.js";
import { isPlottable, plot } from "./plot.js";
import { element, show } from "./shell.js";
import { shownOf, tableOf } from "./table.js";
import { verdict } from "./verdict.js";

const ROWS = 100; // shown
const PARTS = ["error", "verdict", "time", "printed", "plot", "table", "table-count", "as-json"];

export function clearOutcome() {
  for (const id of PARTS) element(id).hidden = true;
}

export function showError({ message, info, printed }) {
  show("error-message", message);
  show("error-info", typeof info === "string" ? info : JSON.stringify(info));
  show("printed", printed ?? "");
  element("error").hidden = false;
}

/** Shows what a script returned, beside the `data` that it got: see `columns.js`. */
export function showReply({ response, printed }, data) {
  const value = JSON.parse(response);
  const texts = parseTexts(response);
  show("verdict", verdict(value, data.rows));
  show("printed", printed);
  element("result").textContent = beginning(withLetters(response));
  element("as-json").hidden = false;
  element("as-json").open = !Array.isArray(value) && !isTable(value);
  showTable(value, texts, data);
  const isPlotted = Array.isArray(value) && isPlottable(value);
  element("plot").hidden = !isPlotted;
  if (isPlotted) element("plot").replaceChildren(plot(value, widthIn(element("plot"))));
}

/** Returns the type of a script's value, or of the values in it, as a calculation has it. */
export function resultType(response) {
  const values = [JSON.parse(response)].flat();
  return typeOf(values, [parseTexts(response)].flat());
}

function showTable(value, texts, data) {
  const columns = columnsOf(value, texts, data);
  const length = Math.max(0, ...columns.map((each) => each.values.length));
  element("table").hidden = length === 0;
  element("table").replaceChildren(tableOf(columns, ROWS));
  show("table-count", length ? shownOf(length, ROWS) : "");
}

/** Returns the width of what can lie in an element, as drawn. */
function widthIn(box) {
  const { paddingLeft, paddingRight } = getComputedStyle(box);
  return Math.max(240, box.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight));
}

/** Values come beside the columns that they were made of, if there are as many. */
function columnsOf(value, texts, data) {
  if (Array.isArray(value)) {
    const result = { name: "Result", type: typeOf(value, texts), values: texts.map(cell) };
    return value.length === data.rows ? [...data.columns, result] : [result];
  }
  if (!isTable(value)) return [];
  return Object.keys(value).map((name) => (
    { name, type: typeOf(value[name], texts[name]), values: texts[name].map(cell) }
  ));
}

/** Tells whether it's what a script for Tableau Prep returns: a list for each column. */
function isTable(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value)
    && Object.values(value).length > 0 && Object.values(value).every(Array.isArray);
}
