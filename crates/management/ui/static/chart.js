// A line chart of the last ten minutes.
//
// The lines are SVG; the words (title, scale, legend with current values) are HTML beside
// it, so that they keep their size and can be read by everything that reads text.
// Pointing at the chart shows the values of that moment in the legend.

import { h } from "./dom.js";
import { clock } from "./format.js";
import { SPAN_MS } from "./history.js";

const WIDTH = 600;
const HEIGHT = 120;

/**
 * @param {{title: string, format: (v: number) => string,
 *   lines: {name: string, label: string, points: {t: number, v: number}[]}[]}} chart
 */
export function chart({ title, format, lines }) {
  const end = Math.max(Date.now(), ...lines.map(({ points }) => points.at(-1)?.t ?? 0));
  const top = ceiling(Math.max(0, ...lines.flatMap(({ points }) => points.map(({ v }) => v))));
  const x = (t) => ((t - (end - SPAN_MS)) / SPAN_MS) * WIDTH;
  const y = (v) => HEIGHT - 1 - (v / top) * (HEIGHT - 4);

  const svg = h(
    "svg",
    {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: "none",
      "aria-hidden": "true",
      class: "plot",
      onpointermove: point,
      onpointerleave: leave,
    },
    [0.25, 0.5, 0.75].map((share) =>
      h("line", {
        class: "grid",
        x1: 0,
        x2: WIDTH,
        y1: y(top * share),
        y2: y(top * share),
      }),
    ),
    lines.map(({ name, points }) =>
      h("polyline", {
        class: `line tone-${name}`,
        // One sample alone would draw nothing, so a line begins with its first sample twice.
        points: [...points.slice(0, 1), ...points]
          .map(({ t, v }) => `${x(t).toFixed(1)},${y(v).toFixed(1)}`)
          .join(" "),
      }),
    ),
    h("line", { class: "cursor", x1: -1, x2: -1, y1: 0, y2: HEIGHT }),
  );
  const figure = h(
    "figure",
    { class: "chart", key: title },
    h(
      "figcaption",
      {},
      h("span", { class: "chart-title" }, title),
      h("span", { class: "chart-time" }, "last 10 min"),
    ),
    h(
      "div",
      { class: "chart-body" },
      h("span", { class: "chart-top" }, format(top)),
      h("span", { class: "chart-zero" }, "0"),
      svg,
    ),
    h(
      "dl",
      { class: "legend" },
      lines.map(({ name, label, points }) =>
        h(
          "div",
          { class: "legend-item" },
          h("dt", {}, h("span", { class: `swatch tone-${name}`, "aria-hidden": "true" }), label),
          h("dd", {}, points.length === 0 ? "–" : format(points.at(-1).v)),
        ),
      ),
    ),
  );
  figure.chart = { end, lines, format };
  return figure;
}

/** The next of 1, 2, 5, 10, … so that the scale stays put while values move a little. */
function ceiling(max) {
  if (max <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(max));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= max);
}

function point(event) {
  const svg = event.currentTarget;
  const figure = svg.closest("figure");
  const { end, lines, format } = figure.chart;
  const box = svg.getBoundingClientRect();
  const share = (event.clientX - box.left) / box.width;
  const t = end - SPAN_MS + share * SPAN_MS;
  const cursor = svg.querySelector(".cursor");
  cursor.setAttribute("x1", share * WIDTH);
  cursor.setAttribute("x2", share * WIDTH);
  legend(
    figure,
    clock(t),
    lines.map(({ points }) => {
      const found = points.find((sample) => sample.t >= t);
      return found === undefined || points[0].t > t + 5000 ? "–" : format(found.v);
    }),
  );
}

function leave(event) {
  const figure = event.currentTarget.closest("figure");
  const { lines, format } = figure.chart;
  event.currentTarget.querySelector(".cursor").setAttribute("x1", -1);
  event.currentTarget.querySelector(".cursor").setAttribute("x2", -1);
  legend(
    figure,
    "last 10 min",
    lines.map(({ points }) => (points.length === 0 ? "–" : format(points.at(-1).v))),
  );
}

function legend(figure, time, values) {
  figure.querySelector(".chart-time").textContent = time;
  figure.querySelectorAll("dd").forEach((place, at) => {
    place.textContent = values[at];
  });
}

/** The counters that most pages draw, in the order of a message's life. */
export const MESSAGE_LINES = [
  { name: "publish", label: "Publish" },
  { name: "confirm", label: "Confirm" },
  { name: "deliver_get", label: "Deliver and get" },
  { name: "ack", label: "Acknowledge" },
  { name: "redeliver", label: "Redeliver" },
  { name: "return_unroutable", label: "Return" },
];

export const LENGTH_LINES = [
  { name: "messages_ready", label: "Ready" },
  { name: "messages_unacknowledged", label: "Unacknowledged" },
];
