// Which page an address means.

import { channel, channels } from "./pages/channels.js";
import { cluster } from "./pages/cluster.js";
import { connection, connections } from "./pages/connections.js";
import { definitions } from "./pages/definitions.js";
import { exchange } from "./pages/exchange.js";
import { exchanges } from "./pages/exchanges.js";
import { limits } from "./pages/limits.js";
import { node, nodes } from "./pages/nodes.js";
import { overview } from "./pages/overview.js";
import { policies } from "./pages/policies.js";
import { queue } from "./pages/queue.js";
import { queues } from "./pages/queues.js";
import { user } from "./pages/user.js";
import { users } from "./pages/users.js";
import { vhost, vhosts } from "./pages/vhosts.js";

/** The pages, by the first segment of the address; those with variables have their own. */
const PAGES = {
  "": [overview],
  connections: [connections, connection, ["name"]],
  channels: [channels, channel, ["name"]],
  exchanges: [exchanges, exchange, ["vhost", "name"]],
  queues: [queues, queue, ["vhost", "name"]],
  nodes: [nodes, node, ["name"]],
  cluster: [cluster],
  users: [users, user, ["name"]],
  vhosts: [vhosts, vhost, ["name"]],
  policies: [policies],
  limits: [limits],
  definitions: [definitions],
};

const missing = {
  title: () => "No such page",
  load: async () => undefined,
  view: () => "There is no page at this address. The list on the left has all there are.",
};

/** The page of a path and the variables that stand in it. */
export function find(path) {
  const [place = "", ...rest] = path;
  const [list, detail, names] = Object.hasOwn(PAGES, place) ? PAGES[place] : [missing];
  if (rest.length === 0) return { page: list, vars: {} };
  if (names === undefined || names.length !== rest.length) return { page: missing, vars: {} };
  return { page: detail, vars: Object.fromEntries(names.map((name, at) => [name, rest[at]])) };
}
