// Drives a headless Chromium by its DevTools protocol over two pipes.
//
// Needs nothing but node and a `chromium` on the PATH (or in CHROMIUM). Pages are asked for
// conditions with a deadline; nothing sleeps for a while and hopes.

import { spawn } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** How long a condition may take to come true. */
const DEADLINE_MS = 15_000;

export class Browser {
  #next = 1;
  #waiting = new Map();
  #buffer = "";

  /** Starts a browser of its own, with a profile that goes away with it. */
  static async start() {
    const browser = new Browser();
    browser.profile = await mkdtemp(join(tmpdir(), "warren-ui-"));
    browser.process = spawn(
      process.env.CHROMIUM ?? "chromium",
      [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--remote-debugging-pipe",
        `--user-data-dir=${browser.profile}`,
        "--window-size=1440,900",
        "about:blank",
      ],
      { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] },
    );
    browser.process.stdio[4].on("data", (data) => browser.#take(data));
    return browser;
  }

  /** Opens a page of its own; what goes wrong in it is collected in `page.complaints`. */
  async open(address, browserContextId = undefined) {
    const { targetId } = await this.send("Target.createTarget", {
      url: "about:blank",
      browserContextId,
    });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const page = new Page(this, sessionId);
    for (const domain of ["Page", "Runtime", "Log"]) await page.send(`${domain}.enable`);
    await page.size(1440, 900);
    await page.send("Page.navigate", { url: address });
    return page;
  }

  send(method, params = {}, sessionId = undefined) {
    const id = this.#next++;
    this.process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((done, failed) => this.#waiting.set(id, { done, failed, method }));
  }

  async stop() {
    const gone = new Promise((done) => this.process.once("exit", done));
    await this.send("Browser.close").catch(() => {});
    await gone;
    await rm(this.profile, { recursive: true, force: true, maxRetries: 5 });
  }

  listeners = [];

  #take(data) {
    this.#buffer += data;
    const messages = this.#buffer.split("\0");
    this.#buffer = messages.pop();
    for (const text of messages) {
      const message = JSON.parse(text);
      const { done, failed, method } = this.#waiting.get(message.id) ?? {};
      this.#waiting.delete(message.id);
      if (message.error) failed?.(new Error(`${method}: ${message.error.message}`));
      else if (done) done(message.result);
      else for (const listener of this.listeners) listener(message);
    }
  }
}

export class Page {
  complaints = [];

  constructor(browser, session) {
    this.browser = browser;
    this.session = session;
    browser.listeners.push((message) => {
      if (message.sessionId === session) this.#note(message);
    });
  }

  #note({ method, params }) {
    if (method === "Runtime.exceptionThrown")
      this.complaints.push(
        params.exceptionDetails.exception?.description ?? params.exceptionDetails.text,
      );
    if (method === "Runtime.consoleAPICalled" && params.type === "error")
      this.complaints.push(
        params.args.map(({ value, description }) => value ?? description).join(" "),
      );
    // A refused request is logged by the browser and shown by the page; a broken policy is not.
    if (
      method === "Log.entryAdded" &&
      params.entry.level === "error" &&
      params.entry.source !== "network"
    )
      this.complaints.push(params.entry.text);
  }

  send(method, params) {
    return this.browser.send(method, params, this.session);
  }

  /** The value of an expression in the page. */
  async value(expression) {
    const { result, exceptionDetails } = await this.send("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails)
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  /** Waits until an expression is true in the page and returns its value. */
  async until(expression, what = expression) {
    const end = Date.now() + DEADLINE_MS;
    for (;;) {
      const value = await this.value(expression).catch(() => undefined);
      if (value) return value;
      if (Date.now() > end)
        throw new Error(
          `waited in vain for ${what}; the page says: ${await this.value("document.body.innerText.slice(0, 600)")}`,
        );
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  /** Presses a key as a keyboard does. */
  async press(key, { shift = false } = {}) {
    const codes = { Tab: 9, Enter: 13, Escape: 27, " ": 32 };
    const common = {
      key,
      code: key === " " ? "Space" : key,
      windowsVirtualKeyCode: codes[key],
      modifiers: shift ? 8 : 0,
    };
    await this.send("Input.dispatchKeyEvent", {
      type: "keyDown",
      text: key === "Enter" ? "\r" : key === " " ? " " : undefined,
      ...common,
    });
    await this.send("Input.dispatchKeyEvent", { type: "keyUp", ...common });
  }

  async type(text) {
    await this.send("Input.insertText", { text });
  }

  /** Puts text into the field with this label. */
  async fill(label, text, within = "document") {
    const found = await this.value(`(() => {
      const root = ${within === "document" ? "document" : "[...document.querySelectorAll('dialog')].at(-1)"};
      const label = [...root.querySelectorAll("label")].find((one) => one.textContent.replace(" *", "").trim() === ${JSON.stringify(label)});
      const field = label && (label.control ?? label.querySelector("input, select, textarea"));
      if (!field) return false;
      if (field.type === "checkbox") { if (field.checked !== ${JSON.stringify(text)}) field.click(); return true; }
      field.focus();
      field.value = ${JSON.stringify(String(text))};
      field.dispatchEvent(new Event("input", { bubbles: true }));
      field.dispatchEvent(new Event("change", { bubbles: true }));
      return true;
    })()`);
    if (!found) throw new Error(`no field is labelled ${label}`);
  }

  /** Clicks the button or link with this text, in the topmost dialog if one is open. */
  async click(text) {
    const expression = `(() => {
      const root = [...document.querySelectorAll("dialog")].at(-1) ?? document;
      const found = [...root.querySelectorAll("button, a, summary")].find((one) => one.textContent.trim() === ${JSON.stringify(text)});
      found?.click();
      return found !== undefined;
    })()`;
    await this.until(expression, `something to click that says ${text}`);
  }

  async go(hash) {
    await this.value(`void (location.hash = ${JSON.stringify(hash)})`);
  }

  async size(width, height) {
    await this.send("Emulation.setDeviceMetricsOverride", {
      width,
      height,
      deviceScaleFactor: 1,
      mobile: false,
    });
  }

  async theme(name) {
    await this.send("Emulation.setEmulatedMedia", {
      features: [{ name: "prefers-color-scheme", value: name }],
    });
  }

  async screenshot(file) {
    const { data } = await this.send("Page.captureScreenshot", { format: "png" });
    await writeFile(file, Buffer.from(data, "base64"));
  }
}
