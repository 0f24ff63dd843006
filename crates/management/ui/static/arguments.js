// What a queue, an exchange or a policy can be told, with the words for it.
//
// The forms are made of this. What is not listed can still be given, in the free rows of
// each form; whether it is taken is for the API to say.

/**
 * `queue`: name as a queue's argument; `policy`: name in a policy; `types`: queue types that
 * know it (all without); `operator`: also in operator policies.
 */
const SETTINGS = [
  {
    queue: "x-message-ttl",
    policy: "message-ttl",
    kind: "number",
    min: 0,
    operator: true,
    group: "Lifetime",
    label: "Message TTL (ms)",
    hint: "Messages not taken by then are dropped or dead-lettered.",
  },
  {
    queue: "x-expires",
    policy: "expires",
    kind: "number",
    min: 1,
    operator: true,
    group: "Lifetime",
    label: "Queue expires (ms)",
    hint: "The queue goes when nobody has used it for so long.",
  },
  {
    queue: "x-max-length",
    policy: "max-length",
    kind: "number",
    min: 0,
    operator: true,
    group: "Limits",
    label: "Max length (messages)",
  },
  {
    queue: "x-max-length-bytes",
    policy: "max-length-bytes",
    kind: "number",
    min: 0,
    operator: true,
    group: "Limits",
    label: "Max length (bytes)",
  },
  {
    queue: "x-overflow",
    policy: "overflow",
    kind: "select",
    options: [["", "default (drop-head)"], "drop-head", "reject-publish", "reject-publish-dlx"],
    operator: true,
    group: "Limits",
    label: "Overflow",
  },
  {
    queue: "x-max-in-memory-length",
    types: ["quorum"],
    kind: "number",
    min: 0,
    group: "Limits",
    label: "Max in-memory length",
    hint: "Accepted and without effect.",
  },
  {
    queue: "x-dead-letter-exchange",
    policy: "dead-letter-exchange",
    kind: "text",
    group: "Dead letters",
    label: "Dead letter exchange",
  },
  {
    queue: "x-dead-letter-routing-key",
    policy: "dead-letter-routing-key",
    kind: "text",
    group: "Dead letters",
    label: "Dead letter routing key",
  },
  {
    queue: "x-dead-letter-strategy",
    policy: "dead-letter-strategy",
    types: ["quorum"],
    kind: "select",
    options: [["", "default (at-most-once)"], "at-most-once", "at-least-once"],
    group: "Dead letters",
    label: "Dead letter strategy",
  },
  {
    queue: "x-delivery-limit",
    policy: "delivery-limit",
    types: ["quorum"],
    kind: "number",
    min: -1,
    operator: true,
    group: "Delivery",
    label: "Delivery limit",
    hint: "-1 for none.",
  },
  {
    queue: "x-single-active-consumer",
    kind: "yesno",
    group: "Delivery",
    label: "Single active consumer",
  },
  {
    queue: "x-max-priority",
    types: ["classic"],
    kind: "number",
    min: 0,
    max: 255,
    group: "Delivery",
    label: "Max priority",
  },
  {
    queue: "x-consumer-timeout",
    policy: "consumer-timeout",
    types: ["quorum"],
    kind: "number",
    min: 0,
    group: "Delivery",
    label: "Consumer timeout (ms)",
  },
  {
    queue: "x-consumer-timeout-action",
    policy: "consumer-timeout-action",
    types: ["classic", "quorum"],
    kind: "select",
    options: [["", "default"], "cancel", "close", "return"],
    group: "Delivery",
    label: "When the consumer timeout ends",
    hint: "return: the message alone goes back, and the consumer goes on.",
  },
  {
    queue: "x-consumer-disconnected-timeout",
    policy: "consumer-disconnected-timeout",
    types: ["quorum"],
    kind: "number",
    min: 0,
    group: "Delivery",
    label: "Consumer disconnected timeout (ms)",
  },
  {
    queue: "x-delayed-retry-type",
    policy: "delayed-retry-type",
    types: ["quorum"],
    kind: "select",
    options: [["", "default (disabled)"], "disabled", "all", "failed", "returned"],
    operator: true,
    group: "Delayed retry",
    label: "Delayed retry",
  },
  {
    queue: "x-delayed-retry-min",
    policy: "delayed-retry-min",
    types: ["quorum"],
    kind: "number",
    min: 0,
    operator: true,
    group: "Delayed retry",
    label: "Least delay (ms)",
  },
  {
    queue: "x-delayed-retry-max",
    policy: "delayed-retry-max",
    types: ["quorum"],
    kind: "number",
    min: 0,
    operator: true,
    group: "Delayed retry",
    label: "Most delay (ms)",
  },
  {
    queue: "x-dedup-window",
    policy: "dedup-window",
    types: ["classic", "quorum"],
    kind: "number",
    min: 1,
    operator: true,
    group: "Deduplication",
    label: "Window (ms)",
    hint: "A message of the same name is not taken again within this time.",
  },
  {
    queue: "x-deduplication-header",
    policy: "deduplication-header",
    types: ["classic", "quorum"],
    kind: "text",
    group: "Deduplication",
    label: "Header that names it",
    hint: "Without one, the message-id does.",
  },
  {
    queue: "x-dedup-limit",
    policy: "dedup-limit",
    types: ["classic", "quorum"],
    kind: "number",
    min: 1,
    operator: true,
    group: "Deduplication",
    label: "Names remembered",
  },
  {
    queue: "x-queue-leader-locator",
    policy: "queue-leader-locator",
    kind: "select",
    options: [["", "default (client-local)"], "client-local", "balanced"],
    group: "Placement",
    label: "Leader locator",
  },
  {
    queue: "x-quorum-initial-group-size",
    types: ["quorum"],
    kind: "number",
    min: 1,
    group: "Placement",
    label: "Initial group size",
  },
  {
    queue: "x-quorum-target-group-size",
    policy: "target-group-size",
    types: ["quorum"],
    kind: "number",
    min: 1,
    operator: true,
    group: "Placement",
    label: "Target group size",
  },
  {
    queue: "x-member-placement-tag",
    policy: "member-placement-tag",
    types: ["quorum"],
    kind: "text",
    operator: true,
    group: "Placement",
    label: "Member placement tag",
  },
  { policy: "alternate-exchange", kind: "text", group: "Exchanges", label: "Alternate exchange" },
];

const PREFIX = "argument ";

/** The fields of every argument a queue can have, shown as its type allows. */
export function queueArgumentFields() {
  return SETTINGS.filter(({ queue }) => queue !== undefined).map(
    ({ queue, types, ...setting }) => ({
      ...setting,
      name: `${PREFIX}${queue}`,
      hint: setting.hint ? `${setting.hint} ${queue}` : queue,
      // Which type the virtual host's default means is not known here, so then all are shown.
      when: types && ((values) => values.type === undefined || types.includes(values.type)),
    }),
  );
}

/** The fields of every key a policy can have. */
export function policyFields({ operator, definition = {} }) {
  return SETTINGS.filter(
    (setting) => setting.policy !== undefined && (!operator || setting.operator),
  ).map(({ policy, ...setting }) => ({
    ...setting,
    name: `${PREFIX}${policy}`,
    value: definition[policy],
    hint: setting.hint ? `${setting.hint} ${policy}` : policy,
  }));
}

/** The keys of a definition that no field of the form shows. */
export function otherKeys({ operator, definition }) {
  const shown = new Set(policyFields({ operator }).map(({ name }) => name.slice(PREFIX.length)));
  return Object.fromEntries(Object.entries(definition).filter(([key]) => !shown.has(key)));
}

/** The arguments that were filled in, as one table. */
export function tableOf(values) {
  return Object.fromEntries(
    Object.entries(values)
      .filter(([name]) => name.startsWith(PREFIX))
      .map(([name, value]) => [name.slice(PREFIX.length), value]),
  );
}
