/* A script's columns: as JSON, or as a table that was copied from a spreadsheet or a CSV file. */

import { parseTexts, typeOf } from "./exact.js";

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;
const ZEROS_BEFORE = /^[+-]?0\d/; // a postal code, say: no number
const GROUPED = /^[+-]?\d{1,3}(,\d{3})+(\.\d+)?$/;
const WITH_COMMA = /^[+-]?\d+(,\d+)?$/;
const NONE = "\0"; // for a separator that isn't there
const TRUTHS = /^(true|false)$/i;

/**
 * Reads what somebody typed or pasted. Returns `{json, columns, rows, isTable, named}`: the text to
 * send as data; a `{name, type, values}` each, its values as texts, null for none; how many rows
 * there are, null where no column says. `named`: whether the first row of a table has the names, as
 * asked for; null has it guessed. Throws SyntaxError for what begins like JSON
 * and isn't an object.
 */
export function read(text, named = null) {
  const trimmed = text.trim();
  if (!trimmed) return { json: "{}", columns: [], rows: null, isTable: false, named: false };
  return /^[{[]/.test(trimmed) ? fromJson(trimmed) : fromTable(text, named);
}

function fromJson(json) {
  const values = JSON.parse(json);
  if (Array.isArray(values)) throw new SyntaxError('It has to be an object: {"_arg1": […]}');
  const texts = parseTexts(json);
  const columns = Object.keys(values).map((name) => {
    const list = Array.isArray(values[name]) ? values[name] : [values[name]];
    const shown = Array.isArray(texts[name]) ? texts[name] : [texts[name]];
    return { name, type: typeOf(list, shown), values: shown.map(cell) };
  });
  const rows = Array.isArray(values._arg1) ? values._arg1.length : null;
  return { json, columns, rows, isTable: false, named: false };
}

/** Returns a value as a table shows it. */
export function cell(value) {
  if (value === null || typeof value === "string") return value;
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function fromTable(text, asked) {
  const separator = separatorOf(text);
  const lines = linesOf(text, separator);
  const width = Math.max(...lines.map((line) => line.length));
  const across = (from) => Array.from({ length: width }, (_, at) => (
    typed(lines.slice(from).map((line) => line[at] ?? ""), separator)
  ));
  const below = across(1);
  const named = asked ?? (lines.length > 1 && looksNamed(lines[0], below));
  const found = named ? below : across(0);
  const columns = found.map(({ type, values }, at) => ({
    name: (named && lines[0][at]?.trim()) || `Column ${at + 1}`, type, values,
  }));
  const json = found.map(({ type, values }, at) => (
    `"_arg${at + 1}": [${values.map((value) => literal(value, type)).join(", ")}]`
  ));
  return {
    json: `{${json.join(", ")}}`, columns, rows: lines.length - Number(named), isTable: true, named,
  };
}

function looksNamed(first, below) {
  return below.some(({ type }, at) => (
    type !== "string" && first[at]?.trim() && typed([first[at]], ",").type === "string"
  ));
}

/** Spreadsheets copy tabs; a CSV file has commas, or semicolons where the comma is a point. */
function separatorOf(text) {
  const first = text.replace(/"[^"]*"/g, "").replace(/^[\r\n]+/, "").split(/[\r\n]/, 1)[0];
  if (first.includes("\t")) return "\t";
  if (first.includes(";") || first.includes(",")) {
    return first.split(";").length > first.split(",").length ? ";" : ",";
  }
  return NONE; // one column, whose numbers may have commas
}

/**
 * Takes a table apart; quotes may hold separators, line ends, and quotes that are doubled. One
 * that doesn't end where the cell does is a part of it.
 */
function linesOf(text, separator) {
  const lines = [[]];
  const cells = `(?:"((?:[^"]|"")*)"|([^${separator}\\r\\n]*))`;
  const part = new RegExp(`${cells}(${separator}|\\r?\\n|\\r|$)`, "y");
  while (part.lastIndex < text.length) {
    const [, quoted, content, end] = part.exec(text);
    lines.at(-1).push(quoted?.replaceAll('""', '"') ?? content);
    if (end === separator && part.lastIndex === text.length) lines.at(-1).push("");
    if (end !== separator && end) lines.push([]);
  }
  return lines.filter((line) => line.some((each) => each.trim()));
}

/** Returns the type of a column and its values: numbers as JSON writes them, null for nothing. */
function typed(cells, separator) {
  const texts = cells.map((each) => each.trim());
  const said = texts.filter((each) => each);
  const all = (pattern) => said.length > 0 && said.every((each) => pattern.test(each));
  const values = (change) => texts.map((each) => (each ? change(each) : null));
  const commaIsPoint = separator === ";" || said.some((each) => /,(\d{1,2}|\d{4,})$/.test(each));
  if (all(NUMBER)) {
    if (said.some((each) => ZEROS_BEFORE.test(each))) return { type: "string", values: values(String) };
    return numbers(values(plain));
  }
  if (all(WITH_COMMA) && commaIsPoint) return numbers(values((each) => plain(each.replace(",", "."))));
  if (said.every((each) => GROUPED.test(each) || NUMBER.test(each)) && said.length) {
    return numbers(values((each) => plain(each.replaceAll(",", ""))));
  }
  if (all(TRUTHS)) return { type: "boolean", values: values((each) => each.toLowerCase()) };
  return { type: "string", values: cells.map((each) => (each.trim() ? each : null)) };
}

function numbers(values) {
  const isWhole = values.every((each) => each === null || /^-?\d+$/.test(each));
  return { type: isWhole ? "integer" : "number", values };
}

/** Writes a number as JSON has it: no plus, and digits on both sides of a point. */
function plain(text) {
  return text.replace("+", "").replace(/^(-?)\./, "$10.").replace(/\.(?!\d)/, "");
}

function literal(value, type) {
  if (value === null) return "null";
  return type === "string" ? JSON.stringify(value) : value;
}
