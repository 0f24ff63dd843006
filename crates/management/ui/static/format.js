// Numbers, sizes and times as the pages write them.
//
// What the API does not say is written as a dash, never as a zero.

export const NOTHING = "–";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

export function count(value) {
  return Number.isFinite(value) ? whole.format(value) : NOTHING;
}

/** A rate per second; small ones with a decimal, for 0.2/s is not nothing. */
export function rate(value) {
  if (!Number.isFinite(value)) return NOTHING;
  if (value === 0) return "0/s";
  return `${value < 100 ? tenths.format(value) : whole.format(value)}/s`;
}

export function bytes(value) {
  if (!Number.isFinite(value)) return NOTHING;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let amount = value;
  while (amount >= 1024 && unit < units.length - 1) {
    amount /= 1024;
    unit += 1;
  }
  return `${unit === 0 || amount >= 100 ? whole.format(amount) : tenths.format(amount)} ${units[unit]}`;
}

export function byteRate(value) {
  return Number.isFinite(value) ? `${bytes(value)}/s` : NOTHING;
}

export function percent(share) {
  return Number.isFinite(share) ? `${whole.format(share * 100)} %` : NOTHING;
}

/** A span of milliseconds, in its two largest units. */
export function duration(ms) {
  if (!Number.isFinite(ms)) return NOTHING;
  const seconds = Math.floor(ms / 1000);
  const parts = [
    [Math.floor(seconds / 86_400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [seconds % 60, "s"],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first === -1) return "0 s";
  return parts
    .slice(first, first + 2)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(" ");
}

export function clock(ms) {
  return Number.isFinite(ms) ? new Date(ms).toLocaleTimeString("en-GB") : NOTHING;
}

export function moment(ms) {
  if (!Number.isFinite(ms)) return NOTHING;
  const date = new Date(ms);
  return `${date.toLocaleDateString("sv-SE")} ${date.toLocaleTimeString("en-GB")}`;
}

/** A value of a table of arguments, on one line. */
export function value(any) {
  return typeof any === "string" ? any : JSON.stringify(any);
}

/** A number with its noun: `1 queue`, `2 queues`. */
export function counted(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** The rate that stands beside a counter in RabbitMQ's fashion. */
export function rateOf(object, counter) {
  return object?.[`${counter}_details`]?.rate;
}

/** A limit, where 0 is none. */
export function limit(number) {
  return number === 0 || number === undefined ? "none" : count(number);
}
