// Sends the requests that requests.js lists.
//
// Always: name and password, or a token, in the header and `credentials: "omit"`, so that the
// browser neither keeps a login of its own nor opens its own dialog on a 401.
// An answer that is not whole (header `x-warren-stale`) is told to whoever asked.

import { fresh } from "./oauth.js";
import { requests } from "./requests.js";

/** How long a request may take before the page says so. */
const REQUEST_TIMEOUT_MS = 20_000;

/** What the API said instead of doing it. */
export class Refusal extends Error {
  /**
   * @param {number} status HTTP status, 0 when there was no answer
   * @param {string} code the API's `error`
   * @param {string} reason the API's `reason`, in its words
   */
  constructor(status, code, reason) {
    super(reason);
    this.status = status;
    this.code = code;
  }
}

/**
 * Asks the API and returns what it answered, decoded.
 *
 * @param {keyof typeof requests} name
 * @param {Record<string, string>} variables for the braces of the path
 * @param {{query?: object, body?: unknown, headers?: object, signal?: AbortSignal,
 *   login?: string, stale?: (nodes: string[]) => void}} options
 */
export async function ask(name, variables = {}, options = {}) {
  const { method, url } = address(name, variables, options.query ?? {});
  const headers = { ...options.headers };
  const login = options.login ?? (await fresh());
  if (login !== undefined) headers.Authorization = login;
  if (options.body !== undefined) headers["Content-Type"] = "application/json";
  const signals = [AbortSignal.timeout(REQUEST_TIMEOUT_MS)];
  if (options.signal) signals.push(options.signal);

  let response;
  let text;
  try {
    response = await fetch(url, {
      method,
      headers,
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.any(signals),
    });
    text = await response.text();
  } catch (error) {
    if (options.signal?.aborted) throw error;
    const reason =
      error.name === "TimeoutError"
        ? `no answer within ${REQUEST_TIMEOUT_MS / 1000} s`
        : "the node that serves this page cannot be reached";
    throw new Refusal(0, "no_answer", reason);
  }
  if (!response.ok) throw refusal(response, text);
  const missing = response.headers.get("x-warren-stale");
  if (missing)
    options.stale?.(
      missing
        .split(",")
        .map((node) => node.trim())
        .filter(Boolean),
    );
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(response.status, "not_json", `the answer to ${name} is not JSON`);
  }
}

/** Method and address of a request; throws when requests.js does not know a part of it. */
function address(name, variables, query) {
  const template = requests[name];
  if (template === undefined) throw new Error(`requests.js has no ${name}`);
  const [method, rest] = template.split(" ");
  const [path, parameters = ""] = rest.split("?");
  const filled = path.replace(/\{(\w+)\}/g, (_, variable) => {
    if (variables[variable] === undefined) throw new Error(`${name} needs ${variable}`);
    return encodeURIComponent(variables[variable]);
  });
  // Relative, so that a path in front of the API moves the pages along with it.
  const url = new URL(`.${filled}`, document.baseURI);
  for (const [key, value] of Object.entries(query)) {
    if (!parameters.split(",").includes(key)) throw new Error(`${name} has no parameter ${key}`);
    if (value !== undefined && value !== "") url.searchParams.set(key, value);
  }
  return { method, url };
}

function refusal(response, text) {
  let answer = {};
  try {
    answer = JSON.parse(text);
  } catch {
    answer = { reason: text.slice(0, 500) };
  }
  const words = answer?.reason ?? answer?.error ?? "";
  const reason = typeof words === "string" ? words : JSON.stringify(words);
  const code = typeof answer?.error === "string" ? answer.error : "";
  return new Refusal(
    response.status,
    code,
    reason || response.statusText || `HTTP ${response.status}`,
  );
}
