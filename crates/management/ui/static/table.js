// Tables, and the bar above those that are paged by the server.
//
// A head is a link that changes the address, so sorting works with the keyboard, with the
// back button and in an address that is passed on. Nothing here asks the API.

import { h } from "./dom.js";
import { byteRate, count, rate, rateOf } from "./format.js";
import { go, link, withQuery } from "./route.js";

/** How long typing must pause before the filter is applied. */
const FILTER_PAUSE_MS = 300;

const PAGE_SIZES = [50, 100, 200, 500];
const DEFAULT_PAGE_SIZE = 100;

/** What a list is sorted by until the reader says otherwise. */
const FIRST_SORT = "name";

/**
 * @typedef {{title: string, cell: (row: any) => any, sort?: string, number?: boolean,
 *   head?: boolean, wide?: boolean}} Column
 *   `head` marks the cell that names its row; `sort` is the API's name of the field.
 * @param {{caption: string, columns: Column[], rows: any[], key: (row: any) => string,
 *   route?: import("./route.js").Route, empty: string}} table
 */
export function table({ caption, columns, rows, key, route, empty }) {
  return h(
    "div",
    {
      class: "table-frame",
      tabindex: "0",
      role: "region",
      "aria-label": caption,
      key: `table ${caption}`,
    },
    h(
      "table",
      {},
      h("caption", { class: "unseen" }, caption),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          columns.map((column) => head(column, route)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) =>
          h(
            "tr",
            { key: key(row) },
            columns.map((column) => cell(column, row)),
          ),
        ),
        rows.length === 0 &&
          h("tr", { key: " none" }, h("td", { class: "none", colspan: columns.length }, empty)),
      ),
    ),
  );
}

function head(column, route) {
  const kind = column.number ? "number" : undefined;
  if (column.sort === undefined || route === undefined) {
    return h(
      "th",
      { scope: "col", class: kind },
      column.title === "" ? h("span", { class: "unseen" }, "Actions") : column.title,
    );
  }
  const sorted = (route.query.sort ?? FIRST_SORT) === column.sort;
  const down = route.query.desc === "1";
  // Numbers are looked at largest first, names from A.
  const nextDown = sorted ? !down : column.number === true;
  return h(
    "th",
    {
      scope: "col",
      class: kind,
      "aria-sort": sorted ? (down ? "descending" : "ascending") : undefined,
    },
    h(
      "a",
      {
        href: withQuery(route, {
          sort: column.sort,
          desc: nextDown ? "1" : undefined,
          page: undefined,
        }),
        class: "sorter",
      },
      column.title,
      h("span", { class: "arrow", "aria-hidden": "true" }, sorted ? (down ? "▾" : "▴") : ""),
    ),
  );
}

function cell(column, row) {
  const content = column.cell(row);
  if (column.head) return h("th", { scope: "row" }, content);
  const kind = [column.number && "number", column.wide && "wide"].filter(Boolean).join(" ");
  return h("td", { class: kind || undefined }, content);
}

/** The column of a field that counts something. */
export function countColumn(title, field) {
  return { title, sort: field, number: true, cell: (row) => count(row[field]) };
}

/** The column of how fast something happens to messages. */
export function rateColumn(title, name) {
  return {
    title,
    sort: `message_stats.${name}_details.rate`,
    number: true,
    cell: (row) => rate(rateOf(row.message_stats, name)),
  };
}

/** The column of how fast bytes come or go. */
export function byteRateColumn(title, name) {
  return {
    title,
    sort: `${name}_details.rate`,
    number: true,
    cell: (row) => byteRate(rateOf(row, name)),
  };
}

/** What a paged list asks the API for, from the state in the address. */
export function listQuery(route, columns) {
  const { page = 1, size = DEFAULT_PAGE_SIZE, name, regex } = route.query;
  return {
    page,
    page_size: size,
    pagination: "true",
    name,
    use_regex: name ? String(regex === "1") : undefined,
    sort: route.query.sort ?? FIRST_SORT,
    sort_reverse: route.query.desc === "1" ? "true" : undefined,
    columns: columns.join(","),
  };
}

/**
 * The bar above a paged list: filter, virtual host, page size, and the way through pages.
 *
 * @param {{route: import("./route.js").Route, answer: object, noun: string,
 *   vhosts?: string[], actions?: any[]}} bar
 */
export function listBar({ route, answer, noun, vhosts, actions = [] }) {
  const { name = "", regex, vhost = "", size = DEFAULT_PAGE_SIZE } = route.query;
  const { page, page_count: pages, filtered_count: found, total_count: total } = answer;
  const change = (part) => go(withQuery(route, { ...part, page: undefined }), { replace: true });
  const filtered = found !== total;
  return h(
    "div",
    { class: "bar", key: "list bar" },
    h(
      "form",
      { class: "filters", role: "search", onsubmit: (event) => event.preventDefault() },
      h(
        "label",
        { class: "inline" },
        h("span", {}, "Name"),
        h("input", {
          type: "search",
          name: "name",
          value: name,
          placeholder: "contains…",
          autocomplete: "off",
          spellcheck: "false",
          oninput: later((event) => change({ name: event.target.value })),
        }),
      ),
      h(
        "label",
        { class: "inline" },
        h("input", {
          type: "checkbox",
          checked: regex === "1",
          onchange: (event) => change({ regex: event.target.checked ? "1" : undefined }),
        }),
        h("span", {}, "Regex"),
      ),
      vhosts !== undefined &&
        h(
          "label",
          { class: "inline" },
          h("span", {}, "Virtual host"),
          h(
            "select",
            { onchange: (event) => change({ vhost: event.target.value }) },
            h("option", { value: "", selected: vhost === "" }, "all"),
            vhosts.map((one) => h("option", { value: one, selected: vhost === one }, one)),
          ),
        ),
      h(
        "label",
        { class: "inline" },
        h("span", {}, "Rows"),
        h(
          "select",
          { onchange: (event) => change({ size: event.target.value }) },
          PAGE_SIZES.map((one) =>
            h("option", { value: one, selected: Number(size) === one }, String(one)),
          ),
        ),
      ),
    ),
    h(
      "nav",
      { class: "pager", "aria-label": `Pages of ${noun}` },
      h(
        "span",
        { class: "figures" },
        filtered ? `${count(found)} of ${count(total)} ${noun}` : `${count(total)} ${noun}`,
      ),
      step(route, page - 1, pages, "‹", "Previous page"),
      h("span", { class: "figures" }, `${count(page)} / ${count(Math.max(1, pages))}`),
      step(route, page + 1, pages, "›", "Next page"),
    ),
    h("div", { class: "actions" }, actions),
  );
}

function step(route, page, pages, sign, label) {
  const there = page >= 1 && page <= pages;
  return h(
    "a",
    {
      class: "step",
      "aria-label": label,
      "aria-disabled": there ? undefined : "true",
      href: there ? withQuery(route, { page: page === 1 ? undefined : String(page) }) : undefined,
    },
    sign,
  );
}

/** Calls `act` once typing has paused. */
function later(act) {
  return (event) => {
    const input = event.target;
    clearTimeout(input.pause);
    input.pause = setTimeout(() => {
      // While it is set, a refresh leaves the field alone.
      input.pause = undefined;
      act({ target: input });
    }, FILTER_PAUSE_MS);
  };
}

/** Sorts rows that came whole, by the state in the address. */
export function sortHere(rows, route) {
  const field = route.query.sort ?? FIRST_SORT;
  const turn = route.query.desc === "1" ? -1 : 1;
  const of = (row) => field.split(".").reduce((object, part) => object?.[part], row);
  return [...rows].sort((a, b) => turn * compare(of(a), of(b)));
}

/** Rows in the order of their names, where the API has them in another. */
export function byName(rows) {
  return [...rows].sort((a, b) => compare(a.name, b.name));
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a ?? "").localeCompare(String(b ?? ""));
}

/** A link to a page, for cells. */
export function to(path, text, query) {
  return h("a", { href: link(path, query) }, text);
}
