/* Drawing. The style sheet colours by class; nothing is styled here, which the page's rules forbid. */

const NAMESPACE = "http://www.w3.org/2000/svg";

/** Makes an element with attributes, and others or a text in it. */
export function draw(name, attributes = {}, ...content) {
  const made = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

/** Makes a picture of this size that a screen reader reads as `label`. */
export function picture(width, height, label, ...content) {
  const attributes = { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label };
  return draw("svg", attributes, ...content);
}

/** Returns a path through `[x, y]` points, with a gap where one is null. */
export function pathThrough(points) {
  let isBegun = false;
  return points.map((point) => {
    const command = isBegun ? "L" : "M";
    isBegun = point !== null;
    return point === null ? "" : `${command}${point[0].toFixed(1)} ${point[1].toFixed(1)}`;
  }).join("");
}

/** Returns a number as short as a label has it. */
export function short(number) {
  return number.toLocaleString(undefined, { maximumSignificantDigits: 4, notation: "compact" });
}
