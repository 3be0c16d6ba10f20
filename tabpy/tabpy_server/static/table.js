/* Columns as a table that a person can look at. */

/**
 * Returns a table of `columns`, `{name, type, values}` each, and its first rows; a value that is
 * null is none. `limit`: how many rows.
 */
export function tableOf(columns, limit) {
  const table = document.createElement("table");
  const length = Math.max(0, ...columns.map((each) => each.values.length));
  const head = table.createTHead().insertRow();
  head.append(heading("Row", "number"));
  for (const each of columns) head.append(heading(each.name, each.type));
  const body = table.createTBody();
  for (let at = 0; at < Math.min(length, limit); at += 1) {
    const row = body.insertRow();
    const number = document.createElement("th");
    number.scope = "row";
    number.textContent = at + 1;
    row.append(number);
    for (const { type, values } of columns) {
      const cell = row.insertCell();
      cell.classList.toggle("number", isNumber(type));
      const value = values[at];
      if (value !== undefined) cell.textContent = value ?? "null";
      cell.classList.toggle("null", value === null);
    }
  }
  return table;
}

/** Says how many of the rows are shown. */
export function shownOf(length, limit) {
  const all = length.toLocaleString();
  if (length <= limit) return length === 1 ? "1 row" : `${all} rows`;
  return `The first ${limit.toLocaleString()} of ${all} rows`;
}

const WORDS = { integer: "whole number", number: "number", string: "text", boolean: "true or false" };

function heading(name, type) {
  const cell = document.createElement("th");
  cell.scope = "col";
  cell.textContent = name;
  cell.classList.toggle("number", isNumber(type));
  if (name !== "Row" && WORDS[type]) {
    const small = document.createElement("span");
    small.className = "type";
    small.textContent = WORDS[type];
    cell.append(small);
  }
  return cell;
}

function isNumber(type) {
  return type === "number" || type === "integer";
}
