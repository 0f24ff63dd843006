// Tests of logging in with OAuth 2, in a headless Chromium, against a node that knows a provider.
//
//   node oauth.mjs http://127.0.0.1:15672 http://127.0.0.1:8080
//
// The provider's pages have the links Yes, No and Mix, its portal the buttons Good and Bad, and
// its first token ends after a few seconds: tests/tests/management/provider.rs.

import assert from "node:assert/strict";
import { Browser } from "./chromium.mjs";

const [base, provider, only = ""] = process.argv.slice(2);
if (!provider) {
  console.error("usage: node oauth.mjs URL PROVIDER [NAME]");
  process.exit(64);
}

const tests = {
  async "a reader logs in at the provider, is back where he was, stays, and logs out there"(page) {
    await page.until("document.querySelector('.login button')");
    await page.go("#/queues");
    assert.equal(await page.value("document.querySelectorAll('.login input').length"), 0);
    await page.click("Log in with the company");
    await arrive(page, `${provider}/authorize`);
    await page.click("Yes");
    await page.until("document.querySelector('#page > .content')", "the page");
    assert.equal(await page.value("location.href"), `${base}/#/queues`);
    assert.equal(await page.value("document.querySelector('.who').textContent"), "ann");
    assert.equal(await page.value("localStorage.getItem('warren.login')"), null);

    const first = await page.value("sessionStorage.getItem('warren.login')");
    assert.match(first, /^Bearer /);
    await page.until(
      `sessionStorage.getItem('warren.login') !== ${JSON.stringify(first)}`,
      "another token",
    );
    await page.send("Page.reload");
    await page.until("document.querySelector('#page > .content')", "the page, with that token");

    await page.click("Log out");
    await page.until("document.querySelector('.login button')", "the login page");
    assert.equal(await page.value("location.href"), `${base}/`);
    assert.equal(await page.value("sessionStorage.length"), 0);
  },

  async "what the provider says when it does not let somebody in is shown"(page) {
    await page.click("Log in with the company");
    await arrive(page, `${provider}/authorize`);
    await page.click("No");
    await refused(page, "the reader said no");
    await page.send("Page.reload");
    await page.until("document.querySelector('.login button')");
    assert.equal(await page.value("document.querySelector('.refusal')"), null);
  },

  async "a code that was not asked for, or comes from elsewhere, is not used"(page) {
    await page.until("document.querySelector('.login button')");
    await page.send("Page.navigate", {
      url: `${base}/js/oidc-oauth/login-callback.html?code=code-1&state=x`,
    });
    await refused(page, "this login was not begun in this tab");
    await page.click("Log in with the company");
    await arrive(page, `${provider}/authorize`);
    await page.click("Mix");
    await refused(page, "the answer comes from another issuer");
    assert.equal(await page.value("sessionStorage.getItem('warren.login')"), null);
  },

  async "a reader who comes from the provider brings a token, and a bad one is refused"(page) {
    await page.click("Log in with dev");
    await arrive(page, `${provider}/portal`);
    await page.click("Bad");
    await refused(page, "the token is refused");
    await page.click("Log in with dev");
    await arrive(page, `${provider}/portal`);
    await page.click("Good");
    await page.until("document.querySelector('#page > .content')", "the page");
    assert.equal(await page.value("document.querySelector('.who').textContent"), "bob");
    assert.equal(await page.value("location.href"), `${base}/`);
  },
};

async function arrive(page, url) {
  await page.until(`location.href.startsWith(${JSON.stringify(url)})`, url);
}

async function refused(page, reason) {
  await page.until("document.querySelector('.login .refusal')", reason);
  assert.equal(await page.value("document.querySelector('.login .refusal').textContent"), reason);
}

let failed = 0;
const browser = await Browser.start();
for (const [title, test] of Object.entries(tests).filter(([title]) => title.includes(only))) {
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
