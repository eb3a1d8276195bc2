// Every page of the console, empty and full. With SCREENSHOTS it takes the pictures of docs/console.

import assert from "node:assert/strict";
import { scenario } from "./browser.mjs";
import { logIn, newNumber, onboard } from "./console.mjs";
import { fill } from "./gateway.mjs";
import { calm, examine, visit } from "./look.mjs";

/** The pages of a customer, with the name of their picture. */
const CUSTOMER = [
  ["/overview", "overview"],
  ["/requests", "requests"],
  ["/reports", "reports"],
  ["/tokens", "tokens"],
  ["/tokens/new", "token-new"],
  ["/senders", "senders"],
  ["/budget", "budget"],
  ["/budget/add", "add-funds"],
  ["/team", "team"],
  ["/log", "audit-log"],
  ["/profile", "profile"],
  ["/sessions", "sessions"],
];
const OPERATOR = [
  ["/operator", "operator"],
  ["/operator/senders", "operator-senders"],
  ["/operator/channels", "operator-channels"],
  ["/operator/prices", "operator-prices"],
  ["/operator/log", "operator-log"],
];
const OPEN = [
  ["/", "landing"],
  ["/reference", "reference"],
  ["/login", "log-in"],
];

for (const [path, name] of OPEN) {
  scenario(`everybody can use ${path}`, calm, async (page) => {
    assert.equal((await visit(page, path)).status(), 200);
    await examine(page, name);
  });
}

scenario("everybody can use the way in", calm, async (page) => {
  const number = newNumber();
  await page.goto("/login");
  await page.getByLabel("Phone number").fill("twelve");
  await page.getByRole("button", { name: "Send a code" }).click();
  await page.getByText("Write the number with its country code").waitFor();
  await examine(page, "log-in-fault");
  await page.getByLabel("Phone number").fill(number);
  await page.getByRole("button", { name: "Send a code" }).click();
  await page.waitForURL("**/login/code");
  await examine(page, "code");
  await page.getByLabel("Code").fill("00000000");
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByText("This code is not right").waitFor();
  await examine(page, "code-fault");
  await logIn(page, number);
  await examine(page, "welcome");
  await page.evaluate(() => { document.querySelector("main form").noValidate = true; });
  await page.getByRole("button", { name: "Go to the console" }).click();
  await page.getByText("Fill this in.").first().waitFor();
  await examine(page, "welcome-fault");
});

scenario("everybody can use an account that is empty", calm, async (page) => {
  await logIn(page, newNumber());
  await onboard(page, `Empty ${Date.now()}`);
  for (const [path, name] of CUSTOMER) {
    assert.equal((await visit(page, path)).status(), 200, path);
    await examine(page, `${name}-empty`);
  }
});

scenario("everybody can use an account that is full", calm, async (page) => {
  await fill();
  await logIn(page);
  for (const [path, name] of CUSTOMER) {
    assert.equal((await visit(page, path)).status(), 200, path);
    await examine(page, name);
  }
  await page.goto("/requests");
  await page.locator("#list a[data-row]").first().click();
  await page.getByRole("heading", { name: "What happened" }).waitFor();
  await examine(page, "request");
  await page.goto("/requests?q=nothing&from=yesterday");
  await examine(page, "requests-fault");
});

scenario("everybody can use what runs the gateway", calm, async (page) => {
  await logIn(page);
  for (const [path, name] of OPERATOR) {
    assert.equal((await visit(page, path)).status(), 200, path);
    await examine(page, name);
  }
  await page.goto("/operator");
  await page.locator("#list a[data-row]").first().click();
  await page.waitForURL("**/operator/accounts/*");
  await examine(page, "operator-account");
});

scenario("everybody can use test mode", calm, async (page) => {
  await logIn(page);
  await page.getByRole("button", { name: "Test", exact: true }).click();
  await page.getByText("Test mode").waitFor();
  for (const [path, name] of [["/overview", "overview-test"], ["/budget/add", "add-funds-test"]]) {
    await visit(page, path);
    await examine(page, name);
  }
  await page.getByRole("button", { name: "Live", exact: true }).click();
  await page.getByText("Test mode").waitFor({ state: "detached" });
});

scenario("the keyboard alone gets everywhere, and is seen there", {}, async (page) => {
  await logIn(page);
  for (const [path] of [...CUSTOMER, ...OPERATOR]) {
    await page.goto(path);
    const all = await page.evaluate(() => {
      const seen = (element) => element.checkVisibility({ checkVisibilityCSS: true, contentVisibilityAuto: true });
      const stops = document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary");
      const closed = "dialog, details:not([open]) > :not(summary)";
      // Of radio buttons that belong together one alone is a stop.
      const isStop = (stop) => seen(stop) && !stop.disabled && stop.tabIndex >= 0 && stop.type !== "radio" && !stop.closest(closed);
      return [...stops].filter(isStop).length;
    });
    const met = new Set();
    let last;
    for (let press = 0; press < all + 40; press += 1) {
      await page.keyboard.press("Tab");
      const stop = await page.evaluate(() => {
        const at = document.activeElement;
        if (at === document.body) return null;
        const { outlineStyle, outlineWidth } = getComputedStyle(at);
        const index = [...document.querySelectorAll("*")].indexOf(at);
        return { index, name: at.textContent.trim() || at.id, seen: outlineStyle !== "none" && parseFloat(outlineWidth) >= 1 };
      });
      // A date has several stops of its own.
      if (!stop || (met.has(stop.index) && stop.index !== last)) break;
      assert.ok(stop.seen, `${path}: the focus on "${stop.name}" cannot be seen`);
      met.add(stop.index);
      last = stop.index;
    }
    assert.ok(met.size >= all, `${path}: ${met.size} of ${all} were met`);
  }
});
