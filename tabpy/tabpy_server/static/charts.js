/* Small charts of an hour, a minute a step. */

import { draw, pathThrough, picture, short } from "./svg.js";

const [WIDTH, HEIGHT, LEFT, BOTTOM, TOP] = [320, 120, 50, 18, 8];

/**
 * Draws a chart of `series`: values by the minute, null where there is none, the first as bars if
 * `asBars`. `limit`: a line that they shouldn't reach; null: there is none. `format` writes a value.
 */
export function chart(name, series, { asBars = false, limit = null, format = short } = {}) {
  const known = series.flat().filter((each) => each !== null);
  const most = Math.max(...known, 0);
  const high = limit !== null && limit >= most ? limit : rounded(most);
  const y = (value) => TOP + (1 - value / high) * (HEIGHT - TOP - BOTTOM);
  const x = (at) => LEFT + (at + 0.5) * step;
  const step = (WIDTH - LEFT) / series[0].length;
  const marks = asBars
    ? series[0].map((value, at) => bar(value ?? 0, x(at), y, step))
    : series.map((values, at) => draw("path", {
      class: at ? "line two" : "line one",
      d: pathThrough(withDots(values.map((value, minute) => (
        value === null ? null : [x(minute), y(value)])))),
    }));
  const said = known.length && Math.max(...known) > 0
    ? `at most ${format(Math.max(...known))}` : "nothing";
  return picture(
    WIDTH, HEIGHT, `${name} in the last hour: ${said}`,
    ...[0, high].flatMap((value) => [
      draw("line", { class: "grid", x1: LEFT, x2: WIDTH, y1: y(value), y2: y(value) }),
      draw("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, format(value)),
    ]),
    ...(limit === null ? [] : [
      draw("line", { class: "limit", x1: LEFT, x2: WIDTH, y1: y(limit), y2: y(limit) }),
    ]),
    ...marks,
    draw("text", { x: LEFT, y: HEIGHT - 3 }, "60 min ago"),
    draw("text", { x: WIDTH, y: HEIGHT - 3, "text-anchor": "end" }, "now"),
  );
}

function bar(value, x, y, step) {
  const height = Math.max(y(0) - y(value), value > 0 ? 1 : 0);
  return draw("rect", {
    class: "mark", x: (x - step * 0.4).toFixed(1), width: (step * 0.8).toFixed(1),
    y: (y(0) - height).toFixed(1), height: height.toFixed(1),
  });
}

/** Makes each point at least a short line: one alone would have no length, and not be seen. */
function withDots(points) {
  return points.flatMap((point) => (point === null ? [null] : [[point[0] - 1.5, point[1]], [point[0] + 1.5, point[1]]]));
}

/** Returns a number that looks well at an axis and isn't below `most`. */
function rounded(most) {
  if (most === 0) return 1;
  const power = 10 ** Math.floor(Math.log10(most));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((each) => each * power).find((each) => each >= most * 0.9999)
    ?? 10 * power;
}
