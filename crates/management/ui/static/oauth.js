// Logging in where tokens are made: OAuth 2 with a code and PKCE (RFC 6749, RFC 7636).
//
// `begin` sends the browser there. It comes back to js/oidc-oauth/login-callback.html, where
// `complete` changes the code for a token. `fresh` renews the token before it ends, and
// `leave` ends the login there as well.
//
// Always: what comes back must name the state that was sent along, so nobody can log the
// reader in as somebody else; the code is worth nothing without the verifier, which never
// leaves this tab but for the token endpoint.
//
// Not here: whether a token is good. The node says so, with every answer.

import { authorization, forget, granted, rememberToken } from "./session.js";

/** What must be known again when the browser comes back. */
const PENDING_KEY = "warren.pending";

/** How long the provider may take to answer. */
const ANSWER_TIMEOUT_MS = 20_000;

/** How long before its end a token is renewed; a short one, after three quarters of its time. */
const RENEW_BEFORE_MS = 60_000;

/** Random bytes of a verifier or a state; more than can be guessed. */
const SECRET_BYTES = 32;

/** Where the browser comes back to: the address that RabbitMQ's pages have, which providers know. */
const CALLBACK = "js/oidc-oauth/login-callback.html";

/** Sends the browser to the provider of a resource server, as `GET /api/auth` describes it. */
export async function begin(server) {
  if (crypto.subtle === undefined)
    throw new Error("logging in elsewhere needs https, or a browser on the node's own machine");
  const about = await metadata(server);
  const verifier = secret();
  const pending = {
    verifier,
    state: secret(),
    redirect: new URL(CALLBACK, document.baseURI).href,
    place: location.hash,
    issuer: about.issuer,
    client: server.oauth_client_id,
    tokenEndpoint: about.token_endpoint,
    tokenParams: server.oauth_token_endpoint_params ?? {},
    endSession: about.end_session_endpoint,
  };
  sessionStorage.setItem(PENDING_KEY, JSON.stringify(pending));
  const url = new URL(about.authorization_endpoint);
  const said = {
    ...server.oauth_authorization_endpoint_params,
    response_type: "code",
    client_id: pending.client,
    redirect_uri: pending.redirect,
    scope: server.oauth_scopes,
    state: pending.state,
    code_challenge: await challenge(verifier),
    code_challenge_method: "S256",
  };
  for (const [name, text] of Object.entries(said)) url.searchParams.set(name, text);
  location.assign(url);
}

/** Gets the token for what the browser came back with; says where the reader had been. */
export async function complete(query) {
  const pending = JSON.parse(sessionStorage.getItem(PENDING_KEY) ?? "null");
  sessionStorage.removeItem(PENDING_KEY);
  const said = new URLSearchParams(query);
  if (pending === null || said.get("state") !== pending.state)
    throw new Error("this login was not begun in this tab");
  // RFC 9207: with several providers, one must not pass off its code as another's.
  if (said.has("iss") && pending.issuer !== undefined && said.get("iss") !== pending.issuer)
    throw new Error("the answer comes from another issuer");
  if (said.has("error")) throw new Error(said.get("error_description") ?? said.get("error"));
  const answer = await token(pending, {
    grant_type: "authorization_code",
    code: said.get("code") ?? "",
    redirect_uri: pending.redirect,
    code_verifier: pending.verifier,
  });
  const { client, tokenEndpoint, tokenParams, endSession, place } = pending;
  keep({ client, tokenEndpoint, tokenParams, endSession }, answer);
  return place;
}

/** Renewals under way: two requests must not spend one refresh token twice. */
let renewing;

/** The Authorization header of this tab; a token that is about to end is renewed first. */
export async function fresh() {
  const grant = granted();
  if (grant?.refresh !== undefined && Date.now() >= grant.renewAt) {
    renewing ??= renew(grant).finally(() => {
      renewing = undefined;
    });
    await renewing;
  }
  return authorization();
}

/** Ends the login in this tab, and at the provider if it offers that: true if the browser goes. */
export function leave() {
  const grant = granted();
  forget();
  if (!grant?.endSession) return false;
  const url = new URL(grant.endSession);
  if (grant.idToken !== undefined) url.searchParams.set("id_token_hint", grant.idToken);
  url.searchParams.set("client_id", grant.client);
  url.searchParams.set("post_logout_redirect_uri", new URL("./", document.baseURI).href);
  location.assign(url);
  return true;
}

async function renew(grant) {
  try {
    keep(grant, await token(grant, { grant_type: "refresh_token", refresh_token: grant.refresh }));
  } catch (error) {
    // Until it ends the token is as good as it was. A refusal is final, silence is not.
    if (!(error instanceof ProviderRefusal)) return;
    const login = authorization();
    if (login !== undefined) rememberToken(login.replace(/^Bearer /, ""), { ...grant, refresh: undefined });
  }
}

function keep(grant, answer) {
  const lifetimeMs = Number(answer.expires_in) * 1000;
  const early = Math.min(RENEW_BEFORE_MS, lifetimeMs / 4);
  rememberToken(answer.access_token, {
    ...grant,
    refresh: answer.refresh_token ?? grant.refresh,
    idToken: answer.id_token ?? grant.idToken,
    renewAt: Number.isFinite(lifetimeMs) ? Date.now() + lifetimeMs - early : undefined,
  });
}

/** What a provider said instead of giving a token. */
class ProviderRefusal extends Error {}

async function token({ client, tokenEndpoint, tokenParams }, said) {
  const response = await asked(tokenEndpoint, {
    method: "POST",
    body: new URLSearchParams({ ...tokenParams, client_id: client, ...said }),
  });
  const answer = await response.json().catch(() => ({}));
  if (!response.ok)
    throw new ProviderRefusal(
      answer.error_description ?? answer.error ?? `the token endpoint says HTTP ${response.status}`,
    );
  const isBearer = String(answer.token_type ?? "bearer").toLowerCase() === "bearer";
  if (typeof answer.access_token !== "string" || !isBearer)
    throw new ProviderRefusal("the token endpoint answers without a token");
  return answer;
}

/** Where what is done at the provider: its own words, unless the node has others. */
async function metadata(server) {
  const named = ["authorization_endpoint", "token_endpoint", "end_session_endpoint"];
  const known = Object.fromEntries(
    named.filter((name) => server[name] !== undefined).map((name) => [name, server[name]]),
  );
  if (named.every((name) => name in known)) return known;
  const response = await asked(server.oauth_metadata_url, {});
  const said = response.ok ? await response.json().catch(() => undefined) : undefined;
  const about = { ...said, ...known };
  for (const name of named.slice(0, 2)) {
    if (!/^https?:/.test(about[name] ?? ""))
      throw new Error(`${server.oauth_metadata_url} does not say where its ${name} is`);
  }
  return about;
}

async function asked(url, options) {
  try {
    return await fetch(url, {
      ...options,
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
    });
  } catch {
    throw new Error(`${new URL(url).origin} cannot be reached, or does not let this page ask`);
  }
}

function secret() {
  return base64url(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)));
}

async function challenge(verifier) {
  return base64url(
    new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))),
  );
}

function base64url(bytes) {
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
