/* A calculation to paste into Tableau: the rules of tabpy_tools/calculation.py, which a test holds
   this module to. */

const SUFFIXES = { number: "REAL", integer: "INT", string: "STR", boolean: "BOOL" };
const NOT_SUMMED = ["string", "boolean"];

/**
 * Returns the SCRIPT_ call of a script. `fields` are `{name, type}`, `result` is the type of what
 * comes back: JSON Schema's words for them, "" where a type isn't known.
 */
export function scriptCalculation(script, fields, result) {
  const parts = [quoted(script), ...fields.map(field)];
  return `SCRIPT_${SUFFIXES[result] ?? "REAL"}(${parts.join(", ")})`;
}

function field({ name, type }) {
  const call = NOT_SUMMED.includes(type) ? "ATTR" : "SUM";
  return `${call}([${name.replaceAll("]", "]]")}])`;
}

/** Returns Tableau's text literal: a quote in it is doubled. */
function quoted(text) {
  return `"${text.replaceAll('"', '""')}"`;
}
