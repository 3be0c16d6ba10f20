/* The list of functions: shows those that have all words of the search. */

import { element } from "./shell.js";

const rows = [...document.querySelectorAll("#functions > li")].map((row) => ({
  row,
  text: row.querySelector(".what").textContent.toLowerCase(),
}));

function search() {
  const words = element("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  let found = 0;
  for (const { row, text } of rows) {
    row.hidden = !words.every((word) => text.includes(word));
    found += !row.hidden;
  }
  const all = rows.length === 1 ? "1 function" : `${rows.length.toLocaleString("en")} functions`;
  element("count").textContent = words.length ? `${found.toLocaleString("en")} of ${all}` : all;
  element("nothing").hidden = found > 0;
}

/** Keeps the search in the address: going back from a function leads to the same list. */
function remember() {
  const address = new URL(location.href);
  if (element("search").value) address.searchParams.set("q", element("search").value);
  else address.searchParams.delete("q");
  history.replaceState(null, "", address);
}

if (element("search")) {
  element("search").value = new URLSearchParams(location.search).get("q") ?? "";
  element("search").addEventListener("input", () => { search(); remember(); });
  search();
}
