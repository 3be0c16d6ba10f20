/* JSON as it was written: JavaScript would round a number of many digits, and write 2.0 as 2. */

const SHOWN = 100_000; // characters: a browser is slow with millions

/** Returns as much of a text as is shown, and says how much more there is. */
export function beginning(text) {
  const more = text.length - SHOWN;
  return more > 0 ? `${text.slice(0, SHOWN)}… ${more.toLocaleString()} more characters` : text;
}

/** Parses JSON, with the text of each number in place of the number, where the browser knows it. */
export function parseTexts(json) {
  return JSON.parse(json, (key, value, context) => (
    typeof value === "number" ? context?.source ?? String(value) : value
  ));
}

/** Writes letters where JSON that is ASCII has their numbers; it still means the same. */
export function withLetters(json) {
  return json.replace(/\\(u[0-9a-f]{4}|.)/gi, (escape, what) => {
    const code = what.length > 1 ? parseInt(what.slice(1), 16) : 0;
    return code >= 0xa0 ? String.fromCharCode(code) : escape;
  });
}

/** Returns JSON Schema's word for the type of many values, "" for none or several; null is none. */
export function typeOf(values, texts) {
  const types = new Set();
  values.forEach((value, index) => {
    if (value !== null) types.add(one(value, texts[index]));
  });
  if (types.size === 2 && types.has("integer") && types.has("number")) return "number";
  return types.size === 1 ? [...types][0] : "";
}

function one(value, text) {
  if (typeof value === "number") return /^-?\d+$/.test(text) ? "integer" : "number";
  return typeof value === "object" ? "" : typeof value;
}
