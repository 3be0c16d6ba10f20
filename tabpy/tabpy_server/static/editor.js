/* The script's text, with numbers beside its lines and the one that failed marked. */

import { element } from "./shell.js";

/** Numbers the lines, and marks the `failing` one, if there is one. */
export function numberLines(failing) {
  const lines = element("script").value.split("\n").map((_, index) => {
    const line = document.createElement("div");
    line.textContent = index + 1;
    line.classList.toggle("failing", index + 1 === failing);
    return line;
  });
  element("lines").replaceChildren(...lines);
  element("lines").scrollTop = element("script").scrollTop;
}

/** Marks the line of the script that the server's `info` names in a line of its own. */
export function markFailing(info) {
  numberLines(Number(/^line (\d+)/m.exec(info)?.[1]));
  const line = element("lines").querySelector(".failing");
  const { scrollTop, clientHeight } = element("script");
  const seen = line && line.offsetTop >= scrollTop
    && line.offsetTop + line.offsetHeight <= scrollTop + clientHeight;
  if (line && !seen) element("script").scrollTop = line.offsetTop - clientHeight / 2;
}

/** Replaces the text of a field as typing does, so that Ctrl+Z brings back what was there. */
export function replaceText(field, text) {
  field.focus();
  field.select();
  if (!document.execCommand("insertText", false, text) || field.value !== text) field.value = text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
}

export function beginEditor() {
  element("script").addEventListener("input", () => numberLines());
  element("script").addEventListener("scroll", () => {
    element("lines").scrollTop = element("script").scrollTop;
  });
  numberLines();
}
