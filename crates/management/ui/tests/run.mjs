// Tests of the pages in a headless Chromium, against a broker that is there.
//
//   node run.mjs http://127.0.0.1:15672 guest guest [part of a test's name]
//
// The broker may be warren or anything that speaks RabbitMQ's HTTP API and serves the
// pages. What the tests make is called `ui-test…` and is removed again.

import assert from "node:assert/strict";
import { Browser } from "./chromium.mjs";
import { login } from "./login.mjs";

const [base, name, password, only = ""] = process.argv.slice(2);
if (!password) {
  console.error("usage: node run.mjs URL USER PASSWORD [NAME]");
  process.exit(64);
}

const QUEUE = "ui-test <b>&amp;/% ü";

const tests = {
  async "a wrong password is answered with the API's words and a second try works"(page) {
    await page.until("document.querySelector('.login')");
    await page.fill("User", name);
    await page.fill("Password", "not it");
    await page.click("Log in");
    await page.until("document.querySelector('.login .refusal')");
    assert.match(
      await page.value("document.querySelector('.login .refusal').textContent"),
      /HTTP 401/,
    );
    await login(page, name, password);
    assert.equal(await page.value("document.title"), "Overview · Warren");
  },

  async "a reload keeps the login and logging out ends it"(page) {
    await login(page, name, password);
    await page.send("Page.reload");
    await page.until("document.querySelector('#page > .content')");
    await page.click("Log out");
    await page.until("document.querySelector('.login')");
    await page.send("Page.reload");
    await page.until("document.querySelector('.login')");
  },

  async "every page and its dialogs open, with one heading, labelled fields and scoped heads"(
    page,
  ) {
    await login(page, name, password);
    const places = await page.value(
      "[...document.querySelectorAll('nav.side a')].map((one) => one.hash)",
    );
    assert.equal(places.length, 12);
    for (const place of places) {
      await open(page, place);
      assert.deepEqual(await page.value(AUDIT), [], place);
      const openers = await page.value(
        "[...new Set([...document.querySelectorAll('#page button')].map((one) => one.textContent))].filter((text) => text.endsWith('…'))",
      );
      for (const opener of openers) {
        await page.click(opener);
        await page.until("document.querySelector('dialog[open] .buttons')");
        await page.value(
          "document.querySelectorAll('dialog details').forEach((one) => { one.open = true; })",
        );
        assert.deepEqual(await page.value(AUDIT), [], `${place} ${opener}`);
        await page.press("Escape");
        await page.until("!document.querySelector('dialog')");
      }
    }
  },

  async "a queue is created, filled, looked into, purged and deleted"(page) {
    await login(page, name, password);
    await open(page, "#/queues");
    await page.click("New queue…");
    await page.fill("Name", QUEUE, "dialog");
    await page.fill("Type", "quorum", "dialog");
    await page.fill("Message TTL (ms)", 3_600_000, "dialog");
    await page.click("Create");
    await page.until(
      `document.querySelector('#page h1').textContent === ${JSON.stringify(`Queue ${QUEUE}`)}`,
    );
    await page.until(
      "document.querySelector('#page .facts')?.textContent.includes('3600000')",
      "the arguments",
    );

    await page.click("Publish…");
    await page.fill("Payload", "hello <i>there</i>", "dialog");
    await page.click("Publish");
    await page.until(
      "document.querySelector('dialog .outcome .good')?.textContent === 'Published and routed.'",
    );
    await page.press("Escape");
    await page.until("!document.querySelector('dialog')");

    await page.click("Get…");
    await page.click("Get");
    await page.until("document.querySelector('dialog pre')?.textContent === 'hello <i>there</i>'");
    await page.press("Escape");

    await page.click("Purge…");
    await page.click("Purge");
    await page.until("document.querySelector('.notice').textContent.includes('is purged')");
    await page.click("Get…");
    await page.click("Get");
    await page.until(
      "document.querySelector('dialog .outcome')?.textContent.includes('no ready message')",
    );
    await page.press("Escape");
    await remove(page);
    await page.until("location.hash === '#/queues'");
  },

  async "messages are looked at as they are, and those that fit are moved or deleted"(page) {
    await login(page, name, password);
    await declare(page);
    await request(page, "PUT", "queues/%2F/ui-test-bin", { durable: true });
    for (const [number, kind] of ["a", "b", "a", "c"].entries()) {
      await request(page, "POST", "exchanges/%2F/amq.default/publish", {
        properties: { headers: { kind } },
        routing_key: QUEUE,
        payload: `body ${number}`,
        payload_encoding: "string",
      });
    }
    await open(page, `#/queues/%2F/${encodeURIComponent(QUEUE)}`);
    const shown = (payloads) =>
      page.until(
        `JSON.stringify([...document.querySelectorAll("dialog .messages pre")].map((one) => one.textContent)) === ${JSON.stringify(JSON.stringify(payloads))}`,
      );

    await page.click("Browse…");
    await page.click("Look");
    await shown(["body 0", "body 1", "body 2", "body 3"]);
    assert.match(
      await page.value("document.querySelector('dialog .messages li').textContent"),
      /waiting.*Redelivered.*no/s,
    );
    await page.fill("Header", "kind=a", "dialog");
    await page.click("Look");
    await shown(["body 0", "body 2"]);
    await page.click("Move all of these…");
    await page.fill("To queue", "ui-test-bin", "dialog");
    await page.click("Move");
    await page.until("document.querySelector('.notice').textContent.includes('2 messages moved')");
    await page.fill("Header", "kind=b", "dialog");
    await page.click("Look");
    await shown(["body 1"]);
    await page.click("Delete…");
    await page.click("Delete");
    await page.until("document.querySelector('.notice').textContent.includes('1 message deleted')");
    await page.fill("Header", "", "dialog");
    await page.click("Look");
    await shown(["body 3"]);
    await page.press("Escape");
    await request(page, "DELETE", "queues/%2F/ui-test-bin");
    await remove(page);
  },

  async "what the API refuses is shown in the dialog, in its words, and nothing is lost"(page) {
    await login(page, name, password);
    await open(page, "#/queues");
    await request(page, "PUT", "queues/%2F/ui-test", {
      durable: true,
      arguments: { "x-queue-type": "classic" },
    });
    await page.click("New queue…");
    await page.fill("Name", "ui-test", "dialog");
    await page.fill("Type", "quorum", "dialog");
    await page.click("Create");
    const words = await page.until("document.querySelector('dialog .refusal')?.textContent");
    assert.match(words, /inequivalent arg 'x-queue-type'.*HTTP 400/);
    assert.equal(await page.value("document.querySelector('dialog input').value"), "ui-test");
    await request(page, "DELETE", "queues/%2F/ui-test");
  },

  async "a binding is made, with arguments, and removed"(page) {
    await login(page, name, password);
    await declare(page);
    await open(page, "#/exchanges/%2F/amq.headers");
    await page.click("Bind…");
    await page.fill("Name", QUEUE, "dialog");
    await page.fill("Routing key", "a b/ü", "dialog");
    await page.click("Add to arguments");
    await page.value(`(() => {
      const row = document.querySelector("dialog .argument-row");
      row.querySelector(".argument-key").value = "x-match";
      row.querySelector(".argument-value").value = "any";
    })()`);
    await page.click("Bind");
    await page.until(
      "document.querySelector('#page tbody')?.textContent.includes('x-match')",
      "the binding",
    );
    await page.click("Unbind…");
    await page.click("Unbind");
    await page.until(
      "!document.querySelector('#page tbody').textContent.includes('x-match')",
      "no binding",
    );
    await remove(page);
  },

  async "the filter, the order and the page stand in the address"(page) {
    await login(page, name, password);
    await declare(page);
    await open(page, "#/queues");
    await page.fill("Name", "ui-test <b>");
    await page.until("location.hash.includes('name=ui-test')");
    await page.until(
      `document.querySelectorAll("#page tbody tr").length === 1 && document.querySelector("#page tbody th").textContent === ${JSON.stringify(QUEUE)}`,
    );
    await page.click("Total");
    await page.until(
      "document.querySelector('th[aria-sort=descending]')?.textContent.startsWith('Total')",
    );
    assert.equal(
      await page.value("document.querySelector('input[type=search]').value"),
      "ui-test <b>",
    );
    assert.match(await page.value("location.hash"), /sort=messages&desc=1/);
    await page.value("history.back()");
    await page.until("!location.hash.includes('sort=')");
    await page.go("#/queues");
    await page.until(
      "document.querySelector('input[type=search]').value === ''",
      "an empty filter",
    );
    await remove(page);
  },

  async "the keyboard is enough: skip link, visible focus, and a dialog that keeps and returns it"(
    page,
  ) {
    await login(page, name, password);
    await open(page, "#/queues");
    await page.value("document.activeElement.blur(), void window.getSelection().removeAllRanges()");
    await page.send("Page.reload");
    await page.until("document.querySelector('#page .bar')");
    await page.press("Tab");
    assert.equal(await page.value("document.activeElement.className"), "skip");
    assert.ok(await page.value("document.activeElement.getBoundingClientRect().top >= 0"));
    await page.press("Enter");
    assert.equal(await page.value("document.activeElement.id"), "page");

    await page.value(
      "[...document.querySelectorAll('button')].find((one) => one.textContent === 'New queue…').focus()",
    );
    await page.press("Tab");
    assert.notEqual(
      await page.value("getComputedStyle(document.activeElement).outlineStyle"),
      "none",
    );
    await page.press("Tab", { shift: true });
    await page.press("Enter");
    await page.until("document.querySelector('dialog[open]')");
    for (let step = 0; step < 40; step += 1) {
      await page.press("Tab");
      // Between the last and the first field the focus may rest on the browser itself.
      assert.ok(
        await page.value(
          "document.activeElement === document.body || document.activeElement.closest('dialog') !== null",
        ),
      );
    }
    await page.press("Escape");
    await page.until("!document.querySelector('dialog')");
    assert.equal(await page.value("document.activeElement.textContent"), "New queue…");
  },

  async "a refresh moves nothing and takes away neither focus nor what was typed"(page) {
    await login(page, name, password);
    await page.value("localStorage.setItem('warren.refresh', '5')");
    await open(page, "#/");
    const before = await page.value(PLACES);
    const time = await page.value("document.querySelector('.refreshed').textContent");
    await page.value("window.kept = document.querySelector('#page a.figure'); window.kept.focus()");
    await page.until(
      `document.querySelector('.refreshed').textContent !== ${JSON.stringify(time)}`,
      "a refresh",
    );
    assert.deepEqual(await page.value(PLACES), before);
    assert.ok(await page.value("document.activeElement === window.kept"));
  },

  async "a node that did not answer is named, and a broker that is gone keeps the page on view"(
    page,
  ) {
    await login(page, name, password);
    await open(page, "#/queues");
    await page.value(`(() => {
      const real = window.fetch;
      window.fetch = async (...request) => {
        const response = await real(...request);
        const headers = new Headers(response.headers);
        headers.set("x-warren-stale", "warren@b, warren@c");
        return new Response(response.status === 204 ? null : await response.text(), { status: response.status, headers });
      };
      window.again = () => { window.fetch = () => Promise.reject(new TypeError("gone")); dispatchEvent(new HashChangeEvent("hashchange")); };
      dispatchEvent(new HashChangeEvent("hashchange"));
    })()`);
    await page.until(
      "document.querySelector('.notice.warn')?.textContent.startsWith('No answer from warren@b, warren@c')",
    );
    await page.value("window.again()");
    await page.until(
      "document.querySelector('.notice.bad')?.textContent.startsWith('Not refreshed')",
    );
    assert.ok(await page.value("document.querySelector('#page table') !== null"));
  },

  async "the theme follows the system until one is chosen, and text has contrast in both"(page) {
    await login(page, name, password);
    await open(page, "#/");
    for (const theme of ["light", "dark"]) {
      await page.theme(theme);
      assert.deepEqual(await page.value(CONTRAST), [], theme);
    }
    await page.value(`(() => {
      const switches = [...document.querySelectorAll(".switches select")][1];
      switches.value = "light";
      switches.dispatchEvent(new Event("change"));
    })()`);
    assert.equal(
      await page.value("getComputedStyle(document.documentElement).colorScheme"),
      "light",
    );
    await page.value("localStorage.clear()");
  },

  async "virtual host, user, permissions, limit and policy are made, changed and removed by forms"(
    page,
  ) {
    await login(page, name, password);
    await open(page, "#/vhosts");
    await page.click("New virtual host…");
    await page.fill("Name", "ui-test", "dialog");
    await page.fill("Description", "of the tests", "dialog");
    await page.click("Create");
    await page.until("document.querySelector('#page').textContent.includes('of the tests')");

    await open(page, "#/users");
    await page.click("New user…");
    await page.fill("Name", "ui-test", "dialog");
    await page.fill("New password", "secret", "dialog");
    await page.fill("Tags", "monitoring", "dialog");
    await page.click("Create");
    await page.until("document.querySelector('.notice').textContent === 'User ui-test is saved.'");
    await open(page, "#/users/ui-test");
    await page.click("Grant…");
    await page.fill("Virtual host", "ui-test", "dialog");
    await page.fill("Write", "^orders", "dialog");
    await page.click("Grant");
    await page.until("document.querySelector('#page').textContent.includes('^orders')");
    await page.click("Grant topic…");
    await page.fill("Virtual host", "ui-test", "dialog");
    await page.fill("Read", "^eu[.]", "dialog");
    await page.click("Grant");
    await page.until("document.querySelector('#page').textContent.includes('^eu[.]')");
    await page.click("Edit…");
    await page.fill("Tags", "management", "dialog");
    await page.click("Save");
    await page.until("document.querySelector('#page .tags').textContent.includes('management')");

    await open(page, "#/limits");
    await page.click("Limit a virtual host…");
    await page.fill("Virtual host", "ui-test", "dialog");
    await page.fill("At most", 77, "dialog");
    await page.click("Set");
    await page.until("document.querySelector('#page').textContent.includes('77')");

    await open(page, "#/policies");
    await page.click("New policy…");
    await page.fill("Name", "ui-test", "dialog");
    await page.fill("Virtual host", "ui-test", "dialog");
    await page.fill("Pattern", "^ui", "dialog");
    await page.fill("Applies to", "queues", "dialog");
    await page.fill("Max length (messages)", 12_345, "dialog");
    await page.click("Create");
    await page.until("document.querySelector('#page').textContent.includes('12345')");

    await open(page, "#/users/ui-test");
    await page.click("Delete…");
    await page.click("Delete");
    await page.until("location.hash === '#/users'");
    await open(page, "#/vhosts/ui-test");
    await page.click("Delete…");
    await page.fill("Type ui-test to go on", "ui-tes", "dialog");
    await page.click("Delete");
    await page.until(
      "document.querySelector('dialog .refusal')?.textContent === 'this is not ui-test'",
    );
    await page.fill("Type ui-test to go on", "ui-test", "dialog");
    await page.click("Delete");
    await page.until("location.hash === '#/vhosts'");
    await page.until("!document.querySelector('#page table').textContent.includes('ui-test')");
  },

  async "definitions are imported from text and the whole is offered as a file"(page) {
    await login(page, name, password);
    await open(page, "#/definitions");
    await page.click("Import…");
    await page.fill("Or the text itself", "{ no", "dialog");
    await page.click("Import");
    await page.until(
      "document.querySelector('dialog .refusal')?.textContent.startsWith('this is not JSON')",
    );
    await page.fill(
      "Or the text itself",
      JSON.stringify({
        queues: [{ name: QUEUE, vhost: "/", durable: true, auto_delete: false, arguments: {} }],
      }),
      "dialog",
    );
    await page.click("Import");
    await page.until(
      "document.querySelector('dialog .outcome .good')?.textContent === 'Imported.'",
    );
    await page.press("Escape");
    await page.value(
      "HTMLAnchorElement.prototype.click = function () { window.offered = this.download; }",
    );
    await page.click("Download");
    await page.until("window.offered?.startsWith('warren-definitions-')");
    await page.until(
      "document.querySelector('.notice').textContent.startsWith('Saved as warren-definitions-')",
    );
    await remove(page);
  },

  async "a user who may little sees what is theirs and is told the rest in words"(page) {
    await login(page, name, password);
    await request(page, "PUT", "users/ui-test", { password: "ui-test", tags: "management" });
    await request(page, "PUT", "permissions/%2F/ui-test", { configure: "", write: "", read: ".*" });
    await declare(page);
    await page.click("Log out");
    await login(page, "ui-test", "ui-test");
    assert.deepEqual(
      await page.value(
        "[...document.querySelectorAll('nav.side a')].map((one) => one.textContent)",
      ),
      ["Overview", "Connections", "Channels", "Exchanges", "Queues", "Policies"],
    );
    await page.go("#/users");
    await page.until(
      "document.querySelector('#page .refusal')?.textContent.includes('HTTP 401')",
      "the refusal",
    );
    await open(page, `#/queues/%2F/${encodeURIComponent(QUEUE)}`);
    await page.click("Delete…");
    await page.click("Delete");
    await page.until("document.querySelector('dialog .refusal')?.textContent.includes('HTTP 401')");
    await page.press("Escape");
    await page.click("Log out");
    await login(page, name, password);
    await request(page, "DELETE", "users/ui-test");
    await remove(page);
  },

  async "a narrow window shows every page without scrolling sideways"(page) {
    await page.size(420, 800);
    await login(page, name, password);
    for (const place of ["#/", "#/queues", "#/nodes", "#/policies", "#/definitions"]) {
      await open(page, place);
      assert.ok(
        await page.value(
          "document.getElementById('page').scrollWidth <= document.getElementById('page').clientWidth",
        ),
        place,
      );
    }
  },
};

/** What is wrong with the page on view, for those who do not see it. */
const AUDIT = `(() => {
  const wrong = [];
  const shown = (one) => one.getClientRects().length > 0;
  if (document.querySelectorAll("h1").length !== 1) wrong.push("not one h1");
  for (const field of document.querySelectorAll("input, select, textarea")) {
    if (shown(field) && field.labels.length === 0 && !field.ariaLabel) wrong.push("no label: " + field.outerHTML);
  }
  for (const one of document.querySelectorAll("button, a[href]")) {
    if (shown(one) && !(one.textContent.trim() || one.ariaLabel || one.querySelector("img[alt]"))) wrong.push("no name: " + one.outerHTML);
  }
  for (const head of document.querySelectorAll("th")) if (!head.scope) wrong.push("no scope: " + head.textContent);
  for (const table of document.querySelectorAll("table")) if (!table.caption) wrong.push("no caption");
  const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
  if (new Set(ids).size !== ids.length) wrong.push("an id twice");
  for (const one of document.querySelectorAll("[style]")) if (one.getAttribute("style") && !one.style.inlineSize) wrong.push("style: " + one.outerHTML);
  return wrong;
})()`;

/** Where everything is. */
const PLACES = `[...document.querySelectorAll("#page h2, #page .chart, #page .card, #page table, #page .figure")].map((one) => {
  const { x, y, width } = one.getBoundingClientRect();
  return [Math.round(x), Math.round(y), Math.round(width)].join(" ");
})`;

/** Texts whose contrast with the ground behind them is under 4.5. */
const CONTRAST = `(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((part) => part / 255).map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const colour = rgba(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  const wrong = [];
  for (const one of document.querySelectorAll("body *")) {
    if (![...one.childNodes].some((child) => child.nodeType === 3 && child.nodeValue.trim())) continue;
    if (one.getClientRects().length === 0 || getComputedStyle(one).visibility === "hidden" || one.closest("[aria-disabled], .unseen")) continue;
    const [a, b] = [light(rgba(getComputedStyle(one).color).slice(0, 3)), light(ground(one).slice(0, 3))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) wrong.push(one.textContent.slice(0, 30) + " " + ratio.toFixed(2));
  }
  return wrong;
})()`;

let failed = 0;
const browser = await Browser.start();
for (const [title, test] of Object.entries(tests).filter(([title]) => title.includes(only))) {
  // A context of its own: no login, no stored choice of the test before.
  const { browserContextId } = await browser.send("Target.createBrowserContext");
  const page = await browser.open(base, browserContextId);
  try {
    await test(page);
    assert.deepEqual(page.complaints, [], "the browser complains");
    console.log(`ok   ${title}`);
  } catch (error) {
    failed += 1;
    console.log(`FAIL ${title}\n     ${error.message.replaceAll("\n", "\n     ")}`);
  }
  await browser.send("Target.disposeBrowserContext", { browserContextId });
}
await browser.stop();
process.exit(failed === 0 ? 0 : 1);

/** Goes to a page and waits for its content. */
async function open(page, hash) {
  if ((await page.value("location.hash")) !== hash) {
    await page.value("document.querySelector('#page').replaceChildren()");
    await page.go(hash);
  }
  await page.until("document.querySelector('#page > .content')", hash);
}

/** Makes the tests' queue through the API, as the page is logged in. */
async function declare(page) {
  await request(page, "PUT", `queues/%2F/${encodeURIComponent(QUEUE)}`, {
    durable: true,
    arguments: { "x-queue-type": "classic" },
  });
}

async function remove(page) {
  await request(page, "DELETE", `queues/%2F/${encodeURIComponent(QUEUE)}`);
  await open(page, "#/queues");
}

/** Asks the API past the pages, with the login of the page. */
async function request(page, method, path, body) {
  const status = await page.value(`fetch(${JSON.stringify(`./api/${path}`)}, {
    method: ${JSON.stringify(method)}, credentials: "omit", body: ${body ? JSON.stringify(JSON.stringify(body)) : "undefined"},
    headers: { Authorization: sessionStorage.getItem("warren.login"), "Content-Type": "application/json" },
  }).then((response) => response.status)`);
  assert.ok(status < 300, `${method} ${path}: ${status}`);
}
