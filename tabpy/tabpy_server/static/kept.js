/* What somebody was working on, kept in their own browser over a reload. */

import { address } from "./shell.js";

const KEY = `tabpy: try it at ${address("").pathname}`; // other servers may share this origin

/** Returns what was kept, or null. */
export function kept() {
  try {
    return JSON.parse(localStorage.getItem(KEY));
  } catch {
    return null; // the browser keeps nothing, or what it kept is damaged
  }
}

/** Keeps it; tells whether the browser could. */
export function keep(work) {
  try {
    localStorage.setItem(KEY, JSON.stringify(work));
    return true;
  } catch {
    forget(); // rather nothing than what it was before
    return false;
  }
}

export function forget() {
  try {
    localStorage.removeItem(KEY);
  } catch {
    // there is nothing then
  }
}
