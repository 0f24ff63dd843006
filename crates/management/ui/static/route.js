// Where the reader is: the part of the address behind `#`.
//
// `#/queues/%2F/orders?sort=messages&desc=1`: path segments, then the state of a list.
// Everything that makes a view stands in it, so that an address can be sent to a colleague.

/** @typedef {{path: string[], query: Record<string, string>}} Route */

/** Reads the current route. */
export function current() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return {
    path: path
      .split("/")
      .filter((part, at) => part !== "" || at > 0)
      .map(decode),
    query: Object.fromEntries(new URLSearchParams(query)),
  };
}

/** The address of a page: segments are encoded here, empty query values left out. */
export function link(path, query = {}) {
  const kept = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const search = new URLSearchParams(kept).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${search ? `?${search}` : ""}`;
}

/** The address of the same page with some of its state changed. */
export function withQuery(route, change) {
  return link(route.path, { ...route.query, ...change });
}

/** Goes to an address; `replace` leaves no step behind for the back button. */
export function go(address, { replace = false } = {}) {
  if (address === location.hash) return;
  if (replace) {
    history.replaceState(undefined, "", address);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else {
    location.hash = address;
  }
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
