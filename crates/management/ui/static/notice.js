// What the page tells the reader about itself: one line that is always there.
//
// It is a live region, so outcomes of actions and missing nodes are spoken; the time of
// the last refresh beside it is not, for it changes every few seconds. The line keeps its
// place and height, so nothing moves when it changes.

import { h } from "./dom.js";
import { clock } from "./format.js";

/** How long an outcome stays before the standing state is shown again. */
const OUTCOME_MS = 8_000;

const words = h("p", { class: "notice", role: "status", "aria-live": "polite" });
const time = h("span", { class: "refreshed" });
let standing = { text: "", tone: "" };
let outcomeTimer;

/** The line's two parts, for the shell to place. */
export function noticeLine() {
  return [words, time];
}

/** Says how an action ended. */
export function say(text, tone = "good") {
  put(text, tone);
  clearTimeout(outcomeTimer);
  outcomeTimer = setTimeout(() => {
    outcomeTimer = undefined;
    put(standing.text, standing.tone);
  }, OUTCOME_MS);
}

/** Says how the page on view stands: whole, stale or failing. */
export function stand({ stale = [], failure, refreshed = true }) {
  if (failure) standing = { text: `Not refreshed: ${failure}`, tone: "bad" };
  else if (stale.length > 0)
    standing = {
      text: `No answer from ${stale.join(", ")}: what it holds is missing or old here.`,
      tone: "warn",
    };
  else standing = { text: "", tone: "" };
  if (refreshed && !failure) time.textContent = clock(Date.now());
  if (outcomeTimer === undefined) put(standing.text, standing.tone);
}

function put(text, tone) {
  if (words.textContent !== text) words.textContent = text;
  words.className = `notice ${tone}`;
}
