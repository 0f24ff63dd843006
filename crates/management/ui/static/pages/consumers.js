// Consumers as rows, on the pages of queues and channels.

import { h } from "../dom.js";
import { count, duration, limit, NOTHING } from "../format.js";
import { argumentList, tag, yes } from "../parts.js";
import { table, to } from "../table.js";

/** `queue` shows which queue each reads, otherwise whose channel it is on. */
export function consumerTable(rows, { queue = false } = {}) {
  const held = rows.some((row) => row.messages_unacknowledged !== undefined);
  const aged = rows.some((row) => row.oldest_unacknowledged_ms !== undefined);
  return table({
    caption: "Consumers",
    empty: "No consumers.",
    rows,
    key: (row) => `${row.channel_details?.name} ${row.consumer_tag}`,
    columns: [
      { title: "Tag", head: true, cell: (row) => h("code", {}, row.consumer_tag) },
      queue
        ? {
            title: "Queue",
            cell: (row) => to(["queues", row.queue.vhost, row.queue.name], row.queue.name),
          }
        : { title: "Channel", cell: channelCell },
      !queue && { title: "User", cell: (row) => row.channel_details?.user ?? NOTHING },
      { title: "State", cell: activity },
      { title: "Acknowledges", cell: (row) => yes(row.ack_required) },
      { title: "Exclusive", cell: (row) => yes(row.exclusive) },
      {
        title: "Prefetch",
        number: true,
        cell: (row) => limit(row.prefetch_count),
      },
      held && {
        title: "Holds unacked",
        number: true,
        cell: (row) => count(row.messages_unacknowledged),
      },
      aged && {
        title: "Oldest for",
        number: true,
        cell: (row) => duration(row.oldest_unacknowledged_ms),
      },
      { title: "Arguments", wide: true, cell: (row) => argumentList(row.arguments) },
    ].filter(Boolean),
  });
}

function channelCell({ channel_details: channel }) {
  if (!channel?.name) return NOTHING;
  return to(["channels", channel.name], channel.name);
}

function activity({ active, activity_status: status }) {
  if (status === undefined) return active === false ? tag("waiting") : tag("active", "good");
  const tone = { up: "good", single_active: "good", waiting: "", suspected_down: "bad" }[status];
  return tag(status.replaceAll("_", " "), tone);
}
