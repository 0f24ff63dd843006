// Takes a picture of every page, light and dark.
//
//   node screenshots.mjs http://127.0.0.1:15672 guest guest FOLDER
//
// Pictures are to be looked at: nothing here judges them.

import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Browser } from "./chromium.mjs";
import { login } from "./login.mjs";

const [base, name, password, folder] = process.argv.slice(2);
if (!folder) {
  console.error("usage: node screenshots.mjs URL USER PASSWORD FOLDER");
  process.exit(64);
}

/** Pages by name; `{…}` is filled with the first of what the list before it shows. */
const PLACES = [
  ["overview", "#/"],
  ["queues", "#/queues?sort=messages&desc=1"],
  ["queue", undefined],
  ["exchanges", "#/exchanges"],
  ["exchange", "#/exchanges/%2F/amq.topic"],
  ["connections", "#/connections"],
  ["connection", undefined],
  ["channels", "#/channels?sort=messages_unacknowledged&desc=1"],
  ["channel", undefined],
  ["nodes", "#/nodes"],
  ["node", undefined],
  ["cluster", "#/cluster"],
  ["users", "#/users"],
  ["user", "#/users/guest"],
  ["vhosts", "#/vhosts"],
  ["vhost", "#/vhosts/%2F"],
  ["policies", "#/policies"],
  ["limits", "#/limits"],
  ["definitions", "#/definitions"],
  ["missing", "#/nowhere"],
];

/** Dialogs by name: the page they are on and the button that opens them. */
const DIALOGS = [
  ["new-queue", "#/queues", "New queue…"],
  ["new-exchange", "#/exchanges", "New exchange…"],
  ["new-user", "#/users", "New user…"],
  ["new-policy", "#/policies", "New policy…"],
  ["publish", "#/exchanges/%2F/amq.topic", "Publish…"],
  ["import", "#/definitions", "Import…"],
  ["rebalance", "#/cluster", "Rebalance leaders…"],
];

const browser = await Browser.start();
await mkdir(folder, { recursive: true });
for (const theme of ["light", "dark"]) {
  const page = await browser.open(base);
  await page.theme(theme);
  await page.until("document.querySelector('.login')");
  await page.screenshot(join(folder, `login-${theme}.png`));
  await login(page, name, password);
  for (const [place, hash] of PLACES) {
    const address = hash ?? (await page.value("document.querySelector('tbody th a')?.hash ?? ''"));
    if (address === "") continue;
    await page.go(address);
    await settled(page, address);
    await page.screenshot(join(folder, `${place}-${theme}.png`));
  }
  for (const [place, hash, opener] of DIALOGS) {
    await page.go(hash);
    await settled(page, hash);
    await page.click(opener);
    await page.until("document.querySelector('dialog[open]')");
    await page.value(
      "document.querySelectorAll('dialog details').forEach((one) => { one.open = true })",
    );
    await page.screenshot(join(folder, `dialog-${place}-${theme}.png`));
    await page.press("Escape");
    await page.until("!document.querySelector('dialog')");
  }
  console.log(theme, page.complaints.length === 0 ? "no complaints" : page.complaints);
  await page.send("Page.close");
}
await browser.stop();

/** Waits until the page of `address` has its content. */
async function settled(page, address) {
  await page.until(
    `location.hash === ${JSON.stringify(address)} && document.querySelector('#page > .content')`,
    address,
  );
}
