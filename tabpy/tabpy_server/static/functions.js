/* The list of functions. */

import { element } from "./shell.js";
import { searchable } from "./search.js";

if (element("search")) {
  const rows = document.querySelectorAll("#functions > li");
  searchable(rows, (row) => row.querySelector(".what").textContent);
}
