/* A field that searches a list, and keeps what was searched for in the address. */

import { element } from "./shell.js";

/**
 * Shows only those of `rows` that have all words of the field `search` in the text that `textOf`
 * returns.
 */
export function searchable(rows, textOf) {
  const texts = [...rows].map((row) => ({ row, text: textOf(row).toLowerCase() }));
  const all = element("count").textContent;

  function search() {
    const words = element("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    let found = 0;
    for (const { row, text } of texts) {
      row.hidden = !words.every((word) => text.includes(word));
      found += !row.hidden;
    }
    element("count").textContent = words.length ? `${found.toLocaleString("en")} of ${all}` : all;
    element("nothing").hidden = found > 0;
  }

  /** Going back from one of them leads to the same list. */
  function remember() {
    const here = new URL(location.href);
    if (element("search").value) here.searchParams.set("q", element("search").value);
    else here.searchParams.delete("q");
    history.replaceState(null, "", here);
  }

  element("search").value = new URLSearchParams(location.search).get("q") ?? "";
  element("search").addEventListener("input", () => { search(); remember(); });
  search();
}
