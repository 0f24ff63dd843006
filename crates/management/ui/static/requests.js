// Every request the pages make, one per line.
//
// `METHOD /path/{variable}?names,of,query,parameters`. api.js refuses a variable or a
// query parameter that does not stand here, so this list is complete by construction;
// the API's own tests read it as text and hold it against their description.
//
// Not here: bodies (each page builds its own) and how a request is sent (api.js).

const LIST = "page,page_size,name,use_regex,sort,sort_reverse,columns,pagination";
const MEANT =
  "from,id,state,message_id,correlation_id,exchange,routing_key,header,body_prefix";
const SAMPLES = "msg_rates_age,msg_rates_incr,lengths_age,lengths_incr";

export const requests = {
  whoami: "GET /api/whoami",
  auth: "GET /api/auth",
  overview: `GET /api/overview?${SAMPLES}`,
  setClusterName: "PUT /api/cluster-name",
  nodes: "GET /api/nodes",
  node: "GET /api/nodes/{name}",
  nodeMemory: "GET /api/nodes/{name}/memory",
  rebalance: "POST /api/rebalance/queues",

  connections: `GET /api/connections?${LIST}`,
  vhostConnections: `GET /api/vhosts/{vhost}/connections?${LIST}`,
  connection: "GET /api/connections/{name}",
  connectionChannels: "GET /api/connections/{name}/channels",
  closeConnection: "DELETE /api/connections/{name}",

  channels: `GET /api/channels?${LIST}`,
  vhostChannels: `GET /api/vhosts/{vhost}/channels?${LIST}`,
  channel: "GET /api/channels/{name}",

  exchanges: `GET /api/exchanges?${LIST}`,
  vhostExchanges: `GET /api/exchanges/{vhost}?${LIST}`,
  exchange: `GET /api/exchanges/{vhost}/{name}?${SAMPLES}`,
  declareExchange: "PUT /api/exchanges/{vhost}/{name}",
  deleteExchange: "DELETE /api/exchanges/{vhost}/{name}?if-unused",
  exchangeBindingsFrom: "GET /api/exchanges/{vhost}/{name}/bindings/source",
  exchangeBindingsTo: "GET /api/exchanges/{vhost}/{name}/bindings/destination",
  publish: "POST /api/exchanges/{vhost}/{name}/publish",

  queues: `GET /api/queues?${LIST}`,
  vhostQueues: `GET /api/queues/{vhost}?${LIST}`,
  queue: `GET /api/queues/{vhost}/{name}?${SAMPLES}`,
  declareQueue: "PUT /api/queues/{vhost}/{name}",
  deleteQueue: "DELETE /api/queues/{vhost}/{name}?if-unused,if-empty",
  purgeQueue: "DELETE /api/queues/{vhost}/{name}/contents",
  queueBindings: "GET /api/queues/{vhost}/{name}/bindings",
  getMessages: "POST /api/queues/{vhost}/{name}/get",
  browseMessages: `GET /api/queues/{vhost}/{name}/messages?${MEANT},count,offset,truncate`,
  deleteMessages: `POST /api/queues/{vhost}/{name}/messages/delete?${MEANT},all,dry_run`,
  moveMessages: `POST /api/queues/{vhost}/{name}/messages/move?${MEANT},all,dry_run`,
  explain: "GET /api/queues/{vhost}/{name}/explain",

  bindQueue: "POST /api/bindings/{vhost}/e/{source}/q/{destination}",
  bindExchange: "POST /api/bindings/{vhost}/e/{source}/e/{destination}",
  unbindQueue: "DELETE /api/bindings/{vhost}/e/{source}/q/{destination}/{properties}",
  unbindExchange: "DELETE /api/bindings/{vhost}/e/{source}/e/{destination}/{properties}",

  vhosts: "GET /api/vhosts?columns",
  vhost: "GET /api/vhosts/{name}",
  putVhost: "PUT /api/vhosts/{name}",
  deleteVhost: "DELETE /api/vhosts/{name}",
  protectVhost: "POST /api/vhosts/{name}/deletion/protection",
  unprotectVhost: "DELETE /api/vhosts/{name}/deletion/protection",
  vhostPermissions: "GET /api/vhosts/{name}/permissions",
  vhostTopicPermissions: "GET /api/vhosts/{name}/topic-permissions",

  users: "GET /api/users",
  user: "GET /api/users/{name}",
  putUser: "PUT /api/users/{name}",
  deleteUser: "DELETE /api/users/{name}",
  permissions: "GET /api/permissions",
  userPermissions: "GET /api/users/{name}/permissions",
  userTopicPermissions: "GET /api/users/{name}/topic-permissions",
  putPermission: "PUT /api/permissions/{vhost}/{user}",
  deletePermission: "DELETE /api/permissions/{vhost}/{user}",
  putTopicPermission: "PUT /api/topic-permissions/{vhost}/{user}",
  deleteTopicPermission: "DELETE /api/topic-permissions/{vhost}/{user}/{exchange}",

  policies: "GET /api/policies",
  putPolicy: "PUT /api/policies/{vhost}/{name}",
  deletePolicy: "DELETE /api/policies/{vhost}/{name}",
  operatorPolicies: "GET /api/operator-policies",
  putOperatorPolicy: "PUT /api/operator-policies/{vhost}/{name}",
  deleteOperatorPolicy: "DELETE /api/operator-policies/{vhost}/{name}",

  vhostLimits: "GET /api/vhost-limits",
  putVhostLimit: "PUT /api/vhost-limits/{vhost}/{name}",
  deleteVhostLimit: "DELETE /api/vhost-limits/{vhost}/{name}",
  userLimits: "GET /api/user-limits",
  putUserLimit: "PUT /api/user-limits/{user}/{name}",
  deleteUserLimit: "DELETE /api/user-limits/{user}/{name}",

  exportDefinitions: "GET /api/definitions",
  exportVhostDefinitions: "GET /api/definitions/{vhost}",
  importDefinitions: "POST /api/definitions",
  importVhostDefinitions: "POST /api/definitions/{vhost}",

  warrenNodes: "GET /api/warren/nodes",
  warrenShards: "GET /api/warren/shards",
  drainState: "GET /api/warren/nodes/{name}/drain",
  drain: "PUT /api/warren/nodes/{name}/drain",
  revive: "DELETE /api/warren/nodes/{name}/drain",
  forgetNode: "DELETE /api/warren/nodes/{name}",
};
