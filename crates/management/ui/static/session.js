// Who is logged in, in this tab.
//
// Name and password, or a token, live in the tab's session storage, so that a reload does
// not ask again and closing the tab forgets them. They go nowhere but into the
// Authorization header that api.js sends to the origin that served the page.

const KEY = "warren.login";
/** How the token came about, for who renews it. */
const GRANT_KEY = "warren.grant";
/** Why nobody is logged in, told by the page that comes before the login page. */
const REASON_KEY = "warren.reason";

/** @type {{name: string, tags: string[]} | undefined} */
let user;

/** The Authorization header of this tab, if somebody has logged in. */
export function authorization() {
  return sessionStorage.getItem(KEY) ?? undefined;
}

/** Remembers a login for this tab. */
export function remember(name, password) {
  const bytes = new TextEncoder().encode(`${name}:${password}`);
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  sessionStorage.removeItem(GRANT_KEY);
  sessionStorage.setItem(KEY, `Basic ${btoa(text)}`);
}

/** Remembers a token for this tab, and how it came about. */
export function rememberToken(token, grant = {}) {
  sessionStorage.setItem(KEY, `Bearer ${token}`);
  sessionStorage.setItem(GRANT_KEY, JSON.stringify(grant));
}

/** How the token came about, if it is a token. */
export function granted() {
  return JSON.parse(sessionStorage.getItem(GRANT_KEY) ?? "null") ?? undefined;
}

/** Leaves a reason for the login page to show. */
export function leaveReason(reason) {
  sessionStorage.setItem(REASON_KEY, reason);
}

/** The reason that was left, once. */
export function takeReason() {
  const reason = sessionStorage.getItem(REASON_KEY) ?? undefined;
  sessionStorage.removeItem(REASON_KEY);
  return reason;
}

/** Forgets the login. */
export function forget() {
  sessionStorage.removeItem(KEY);
  sessionStorage.removeItem(GRANT_KEY);
  user = undefined;
}

/** Keeps what the API said about the user. */
export function setUser({ name, tags }) {
  user = { name, tags: tagsOf({ tags }) };
}

/** Tags as a list; old brokers have them in one text. */
export function tagsOf({ tags }) {
  return Array.isArray(tags)
    ? tags
    : String(tags ?? "")
        .split(",")
        .filter(Boolean);
}

/** The user the API has confirmed. */
export function currentUser() {
  return user;
}

/** Whether the user may see nodes and everybody's connections. */
export function mayMonitor() {
  return has("monitoring", "administrator");
}

/** Whether the user may set policies. */
export function maySetPolicies() {
  return has("policymaker", "administrator");
}

/** Whether the user may change users, virtual hosts and the cluster. */
export function mayAdminister() {
  return has("administrator");
}

function has(...tags) {
  return user !== undefined && tags.some((tag) => user.tags.includes(tag));
}
