/* What a script's value means to Tableau, which wants one value, or as many as it sent rows. */

/** Says it of a `value`, for so many `rows`; null: nobody knows how many. */
export function verdict(value, rows) {
  if (value === null) {
    return "Nothing returned: a calculation needs a value. NaN and None are null here";
  }
  if (!Array.isArray(value)) {
    if (typeof value === "object") return table(value);
    return rows === null || rows === 1 ? "One value" : `One value for ${count(rows, "row")}`;
  }
  const values = count(value.length, "value");
  const none = value.filter((each) => each === null).length;
  const nulls = none ? `, ${none === value.length ? "all" : none.toLocaleString()} null` : "";
  if (rows === null) return values + nulls;
  const fits = value.length === 1 || value.length === rows;
  const wanted = rows === 1 ? "1" : `1 or ${rows.toLocaleString()}`;
  const but = fits ? "" : `: Tableau expects ${wanted}`;
  return `${values} for ${count(rows, "row")}${nulls}${but}`;
}

function table(value) {
  const columns = Object.values(value);
  const lengths = new Set(columns.map((each) => (Array.isArray(each) ? each.length : 1)));
  const across = count(columns.length, "column");
  if (lengths.size !== 1) return `A table of ${across}`;
  return `A table of ${across} and ${count([...lengths][0], "row")}`;
}

function count(number, what) {
  return `${number.toLocaleString()} ${what}${number === 1 ? "" : "s"}`;
}
