/* A plot of numbers, row by row. */

import { draw, pathThrough, picture, short } from "./svg.js";

const [HEIGHT, LEFT, BOTTOM, TOP] = [200, 56, 24, 12];
const FEW = 40; // rows that have a bar each

/** Tells whether these values can be plotted: two numbers or more, and nothing else but null. */
export function isPlottable(values) {
  const numbers = values.filter((each) => each !== null);
  return numbers.length > 1 && numbers.every((each) => typeof each === "number");
}

/** Returns a picture of `values`, numbers or null, that is so many pixels wide. */
export function plot(values, width) {
  const numbers = values.filter((each) => each !== null);
  const extreme = (pick) => numbers.reduce((one, other) => pick(one, other));
  const [least, most] = [extreme(Math.min), extreme(Math.max)];
  const isFew = values.length <= FEW;
  const [low, high] = rangeOf(isFew ? Math.min(least, 0) : least, isFew ? Math.max(most, 0) : most);
  const y = (value) => TOP + ((high - value) / (high - low)) * (HEIGHT - TOP - BOTTOM);
  const marks = isFew ? bars(values, y, width) : [line(values, y, width)];
  const said = `${values.length.toLocaleString()} values, from ${short(least)} to ${short(most)}`;
  const ticks = [...new Set([low, high, low < 0 && high > 0 ? 0 : low])];
  return picture(
    width, HEIGHT, `Plot of ${said}`,
    ...ticks.flatMap((value) => [
      draw("line", { class: "grid", x1: LEFT, x2: width, y1: y(value), y2: y(value) }),
      draw("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, short(value)),
    ]),
    ...marks,
    draw("text", { x: LEFT, y: HEIGHT - 4 }, "row 1"),
    draw("text", { x: width, y: HEIGHT - 4, "text-anchor": "end" },
      `row ${values.length.toLocaleString()}`),
  );
}

function rangeOf(low, high) {
  if (high > low) return [low, high];
  return [low - Math.abs(low) / 2 - 0.5, high + Math.abs(high) / 2 + 0.5];
}

function bars(values, y, width) {
  const step = (width - LEFT) / values.length;
  return values.map((value, at) => {
    const [top, bottom] = value === null ? [y(0), y(0)] : [y(Math.max(value, 0)), y(Math.min(value, 0))];
    return draw("rect", {
      class: "mark",
      x: (LEFT + at * step + step * 0.15).toFixed(1),
      y: top.toFixed(1),
      width: (step * 0.7).toFixed(1),
      height: Math.max(bottom - top, value === null ? 0 : 1).toFixed(1),
    });
  });
}

/** Draws a line; of more rows than there is room for, the least and the most of each place. */
function line(values, y, width) {
  const places = width - LEFT;
  const each = Math.max(1, Math.ceil(values.length / places));
  const x = (at) => LEFT + (at / (values.length - 1)) * places;
  const points = [];
  for (let from = 0; from < values.length; from += each) {
    const part = values.slice(from, from + each).filter((value) => value !== null);
    if (part.length === 0) points.push(null);
    else if (each === 1) points.push([x(from), y(part[0])]);
    else points.push([x(from), y(Math.min(...part))], [x(from), y(Math.max(...part))]);
  }
  return draw("path", { class: "line", d: pathThrough(points) });
}
