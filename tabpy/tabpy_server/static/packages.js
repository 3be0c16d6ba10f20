/* The list of packages. */

import { searchable } from "./search.js";

searchable(document.querySelectorAll("#packages > li"), (row) => row.querySelector("b").textContent);
