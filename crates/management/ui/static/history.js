// What the charts draw: ten minutes of samples per page.
//
// A page that opens for the first time asks the API for its samples; from then on each
// refresh adds one. A node that keeps no samples gives a chart that starts empty.

/** How far back a chart goes. */
export const SPAN_MS = 600_000;

/** Query parameters that have the API add its own samples: ten minutes, one each 5 s. */
const SAMPLES = { msg_rates_age: 600, msg_rates_incr: 5, lengths_age: 600, lengths_incr: 5 };

/** Subjects kept at once: the overview and the last few queues and exchanges looked at. */
const SUBJECTS = 8;

/** @type {Map<string, Map<string, {t: number, v: number}[]>>} */
const subjects = new Map();

/** The query a page sends for `subject`: samples only while nothing is known. */
export function samplesWanted(subject) {
  return subjects.has(subject) ? {} : SAMPLES;
}

/**
 * Takes up an answer: `counters` become rates, `gauges` stay what they are.
 *
 * @param {{name: string, object: object | undefined}[]} counters
 * @param {{name: string, object: object | undefined}[]} gauges
 */
export function record(subject, counters, gauges) {
  const now = Date.now();
  const series = subjects.get(subject) ?? new Map();
  // The one looked at last goes to the end of the map; the front is dropped.
  subjects.delete(subject);
  subjects.set(subject, series);
  if (subjects.size > SUBJECTS) subjects.delete(subjects.keys().next().value);

  for (const { name, object } of counters) {
    const details = object?.[`${name}_details`];
    const before = series.get(name) ?? ratesOf(details?.samples);
    // A rate is 0 until somebody has looked twice; samples know better.
    const first = !series.has(name) && before.length > 0;
    series.set(name, before);
    if (!first) append(before, now, details?.rate ?? 0);
  }
  for (const { name, object } of gauges) {
    const samples = object?.[`${name}_details`]?.samples;
    if (!series.has(name)) series.set(name, gaugesOf(samples));
    append(series.get(name), now, object?.[name] ?? 0);
  }
}

/** The points of one line, oldest first. */
export function points(subject, name) {
  return subjects.get(subject)?.get(name) ?? [];
}

function append(line, t, v) {
  line.push({ t, v });
  while (line.length > 0 && line[0].t < t - SPAN_MS) line.shift();
}

function gaugesOf(samples) {
  if (!Array.isArray(samples)) return [];
  return samples
    .map(({ timestamp, sample }) => ({ t: timestamp, v: sample }))
    .sort((a, b) => a.t - b.t);
}

function ratesOf(samples) {
  const totals = gaugesOf(samples);
  return totals.slice(1).map(({ t, v }, at) => {
    const before = totals[at];
    return { t, v: Math.max(0, (v - before.v) / ((t - before.t) / 1000)) };
  });
}
