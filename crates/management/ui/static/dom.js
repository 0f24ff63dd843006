// Elements made by code, and a page brought up to date in place.
//
// Text becomes text nodes and nothing is ever parsed as HTML: a queue may be called
// `<script>`. Handlers are properties and sizes go through the style object, so the
// pages work under a policy without inline scripts and styles.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "g", "path", "polyline", "line", "circle", "rect", "title"]);

/** Properties that carry handlers: morph takes them over from the fresh element. */
const HANDLERS = [
  "onclick",
  "onsubmit",
  "oninput",
  "onchange",
  "onkeydown",
  "onpointermove",
  "onpointerleave",
];

/**
 * Makes an element. Attributes that are `undefined`, `null` or `false` are left out;
 * `on…` are handlers; `key` tells rows apart when a list is brought up to date.
 */
export function h(tag, attributes = {}, ...children) {
  const element = SVG_TAGS.has(tag)
    ? document.createElementNS(SVG, tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element[name] = value;
    else if (name === "key") element.dataset.key = value;
    else if (name === "width100") element.style.inlineSize = `${value}%`;
    else element.setAttribute(name, value === true ? "" : value);
  }
  add(element, children);
  return element;
}

function add(element, children) {
  for (const child of children) {
    if (child === undefined || child === null || child === false) continue;
    if (Array.isArray(child)) add(element, child);
    else element.append(child);
  }
}

/** Makes `old` look like `fresh`, touching only what differs: focus, scroll and input stay. */
export function morph(old, fresh) {
  if (old.nodeName !== fresh.nodeName || key(old) !== key(fresh)) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const handler of HANDLERS) old[handler] = fresh[handler];
  old.chart = fresh.chart;
  morphAttributes(old, fresh);
  morphChildren(old, fresh);
  morphField(old, fresh);
}

/** What a field holds follows the page, except while the reader types or owns it (`data-own`). */
function morphField(old, fresh) {
  if (!("value" in fresh) || old.pause !== undefined || old.dataset.own !== undefined) return;
  if (old.value !== fresh.value) old.value = fresh.value;
  if (old.checked !== fresh.checked) old.checked = fresh.checked;
}

function morphAttributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    // What the reader has opened stays open.
    if (name === "open" && old.nodeName === "DETAILS") continue;
    if (!fresh.hasAttribute(name)) old.removeAttribute(name);
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (name === "open" && old.nodeName === "DETAILS") continue;
    if (name === "style") continue;
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  if (old.style?.inlineSize !== fresh.style?.inlineSize)
    old.style.inlineSize = fresh.style.inlineSize;
}

function morphChildren(old, fresh) {
  const wanted = new Set();
  for (const child of fresh.childNodes) wanted.add(key(child));
  const keyed = new Map();
  for (const child of [...old.childNodes]) {
    if (key(child) === undefined) continue;
    // Removed first, so that the rows that stay need not move, which would cost the focus.
    if (wanted.has(key(child))) keyed.set(key(child), child);
    else child.remove();
  }
  let spot = old.firstChild;
  for (const child of [...fresh.childNodes]) {
    const same = key(child) === undefined ? unkeyed(spot, child) : keyed.get(key(child));
    if (same === undefined) {
      old.insertBefore(child, spot);
    } else if (same === spot) {
      spot = spot.nextSibling;
      morph(same, child);
    } else {
      old.insertBefore(same, spot);
      morph(same, child);
    }
  }
  while (spot) {
    const next = spot.nextSibling;
    spot.remove();
    spot = next;
  }
}

function unkeyed(spot, child) {
  return spot && key(spot) === undefined && spot.nodeName === child.nodeName ? spot : undefined;
}

function key(node) {
  return node.dataset?.key;
}
