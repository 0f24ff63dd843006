// Why nothing moves: what the broker itself says about one queue.

import { ask } from "../api.js";
import { failure, reading } from "../dialog.js";
import { h } from "../dom.js";
import { value } from "../format.js";
import { facts, tag, yes } from "../parts.js";

const TONES = { critical: "bad", error: "bad", warning: "warn", info: "" };

export async function explain({ vhost, name }) {
  let content;
  try {
    content = explanation(await ask("explain", { vhost, name }));
  } catch (error) {
    content = failure(error);
  }
  reading(`Queue ${name}, explained`, content);
}

function explanation(answer) {
  const { summary, verdict, findings = [], facts: known = {} } = answer;
  return h(
    "div",
    { class: "explanation" },
    h(
      "p",
      { class: "summary" },
      verdict && tag(verdict, { moving: "good", stuck: "bad", waiting: "warn" }[verdict] ?? ""),
      " ",
      summary ?? "",
    ),
    findings.length > 0 &&
      h(
        "ul",
        { class: "findings" },
        findings.map(({ severity = "info", text, advice }) =>
          h(
            "li",
            {},
            tag(severity, TONES[severity] ?? ""),
            " ",
            text,
            advice && h("div", { class: "dim" }, advice),
          ),
        ),
      ),
    facts(Object.entries(known).map(([key, any]) => [words(key), fact(any)])),
    h(
      "details",
      {},
      h("summary", {}, "As JSON"),
      h("pre", { tabindex: "0" }, JSON.stringify(answer, undefined, 2)),
    ),
  );
}

/** A fact on one line; what has parts has them side by side. */
function fact(any) {
  if (typeof any === "boolean") return yes(any);
  if (Array.isArray(any)) return any.map(value).join(", ") || "none";
  if (any !== null && typeof any === "object") {
    return (
      Object.entries(any)
        .map(([name, part]) => `${name}: ${value(part)}`)
        .join(", ") || "none"
    );
  }
  return any === null ? undefined : value(any);
}

function words(key) {
  const text = key.replaceAll("_", " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
