// Every page that says what is wrong: forms with wrong values, what is not there, not allowed, or too much; and the pages
// between two others, which ask whether one is sure, or whether it is oneself.

import assert from "node:assert/strict";
import { scenario } from "./browser.mjs";
import { advance, codeOf, forget, logIn, newNumber, onboard } from "./console.mjs";
import { calm, examine } from "./look.mjs";

/** Sends a form with these values, past what the browser itself would refuse. */
async function sendForm(page, action, values) {
  const form = page.locator(`form[method=post]:is([action$='${action}'], [action^='${action}#'])`);
  await form.evaluate((form, values) => {
    form.noValidate = true;
    for (const [name, value] of Object.entries(values)) {
      for (const field of form.querySelectorAll(`[name="${name}"]`)) {
        if (field.type === "radio") field.checked = field.value === value;
        else field.value = value;
      }
    }
  }, values);
  await Promise.all([page.waitForEvent("load"), form.evaluate((form) => form.requestSubmit())]);
}

async function arrive(page, company) {
  await logIn(page, newNumber());
  await onboard(page, `${company} ${Date.now()}`);
}

scenario("everybody can use a form that is sent back", calm, async (page) => {
  await arrive(page, "Faults");
  await page.goto("/tokens/new");
  await page.getByLabel("Name").fill("shop");
  await page.getByRole("button", { name: "Create" }).click();
  await page.waitForURL("**/tokens/*said=*");
  const token = new URL(page.url()).pathname;
  for (const [path, action, values, name] of [
    ["/tokens/new", "/tokens", { name: "", ranges: "nowhere" }, "token-new"],
    [token, "/ranges", { ranges: "nowhere\n300.1.1.1" }, "token"],
    [token, "/name", { name: "" }, "token-name"],
    [`${token}/rotate`, "/rotate", { overlap: "?", life: "never" }, "rotate"],
    ["/senders", "/senders", { username: "x" }, "senders"],
    ["/team", "/team", { phone_number: "12", role: "?" }, "team"],
    ["/budget", "/budget/alert", { alert: "much" }, "budget"],
    ["/profile", "/profile", { name: "" }, "profile"],
    ["/profile", "/profile/customer", { email: "nobody", company: "", purpose: "" }, "profile-customer"],
    ["/reports", "/reports/check", { timestamp: "", signature: "", body: "" }, "signature"],
    ["/reports", "/reports/recover", { since: "" }, "recover"],
  ]) {
    await page.goto(path);
    await sendForm(page, action, values);
    assert.ok(await page.locator("[aria-invalid], fieldset.off").count(), `${path}: no field is said to be wrong`);
    // Whoever does not see that is led there.
    assert.equal(await page.evaluate(() => document.activeElement.id), "faults", `${path}: the focus is elsewhere`);
    for (const link of await page.locator("#faults a").all()) {
      const field = await link.getAttribute("href");
      assert.ok(await page.locator(field).count(), `${path}: there is no ${field}`);
    }
    await examine(page, `${name}-fault`);
  }
  await page.goto(token);
  await page.getByLabel("Another address").fill("nowhere");
  await page.getByRole("button", { name: "Ask" }).click();
  await page.locator("#passes .fault").waitFor();
  await examine(page, "token-address-fault");
  await page.goto("/budget?from=yesterday&to=tomorrow");
  await page.locator("#faults").waitFor();
  await examine(page, "budget-days-fault");
  await page.getByRole("button", { name: "Test", exact: true }).click();
  await page.goto("/budget/add");
  await sendForm(page, "/budget/add", { amount: "much" });
  await examine(page, "add-funds-test-fault");
});

scenario("everybody can use the operator's forms that are sent back", calm, async (page) => {
  await logIn(page);
  await page.goto("/operator");
  await page.locator("#list a[data-row]").first().click();
  await page.waitForURL("**/operator/accounts/*");
  const account = page.url();
  for (const [action, values] of [
    ["/credit", { amount: "0", reference: "", reason: "" }], ["/adjust", { change: "0", why: "" }],
  ]) {
    await page.goto(account);
    await sendForm(page, action, values);
    assert.equal(await page.evaluate(() => document.activeElement.id), "faults");
    await examine(page, `operator${action.replace("/", "-")}-fault`);
  }
  await page.goto("/operator/prices?phone_number=12");
  await page.locator("#faults").waitFor();
  await examine(page, "operator-prices-fault");
  for (const path of ["/operator?q=nobody", "/operator/log?q=nobody"]) {
    await page.goto(path);
    await examine(page, `operator${path.includes("log") ? "-log" : ""}-nothing`);
  }
});

scenario("everybody can use the pages in between", calm, async (page) => {
  await arrive(page, "Between");
  await page.goto("/tokens/new");
  await page.getByLabel("Name").fill("shop");
  await page.getByRole("button", { name: "Create" }).click();
  await page.getByRole("button", { name: "Show and copy" }).click();
  await page.locator("#secret").waitFor();
  await examine(page, "token-shown");
  const [token] = /\/tokens\/\d+/.exec(page.url());
  for (const [path, name] of [[token, "token"], [`${token}/rotate`, "rotate"], [`${token}/revoke`, "revoke"]]) {
    await page.goto(path);
    await examine(page, name);
  }
  await page.getByRole("main").getByRole("button").click();
  await page.getByText("The token is revoked.").waitFor();
  await examine(page, "token-revoked");
  await page.goto("/senders");
  await page.getByLabel("Username").fill("between_news");
  await page.getByRole("button", { name: "Register" }).click();
  await page.getByText("The channel is registered.").waitFor();
  await examine(page, "sender");
  await page.goto("/senders/between_news/remove");
  await examine(page, "sender-remove");
  await page.goto("/team");
  const colleague = newNumber();
  await page.getByLabel("Phone number").fill(colleague);
  await page.getByLabel(/^finance/i).check();
  await page.getByRole("button", { name: "Invite" }).click();
  await page.getByRole("cell", { name: "finance" }).waitFor();
  await page.getByRole("link", { name: /^Change role/ }).last().click();
  await page.getByRole("heading", { name: /^Role of/ }).waitFor();
  await examine(page, "member");
  await page.goto("/team");
  await page.getByRole("link", { name: /^Remove/ }).last().click();
  await page.getByRole("main").getByRole("button").waitFor();
  await examine(page, "member-remove");
  // An owner there has to be.
  await page.goto("/team");
  await page.getByRole("link", { name: /^Remove/ }).first().click();
  await page.getByRole("main").getByRole("button").click();
  await page.locator(".notice.bad").waitFor();
  await examine(page, "last-owner");
  await page.goto("/invitations");
  await examine(page, "invitations-empty");
  await forget(page);
  await logIn(page, colleague);
  await page.getByRole("button", { name: /^Accept/ }).waitFor();
  await examine(page, "welcome-invited");
  await onboard(page, `Invited ${Date.now()}`);
  await page.getByRole("link", { name: "See who it is" }).click();
  await page.getByRole("button", { name: /^Decline/ }).waitFor();
  await examine(page, "invitations");
  await page.getByRole("button", { name: /^Decline/ }).click();
  await page.getByText("You have declined.").waitFor();
  await page.goto("/login/link?key=used");
  await examine(page, "link");
});

scenario("everybody can use what says no", calm, async (page, complaints) => {
  const owner = newNumber();
  await logIn(page, owner);
  await onboard(page, `No ${Date.now()}`);
  assert.equal((await page.goto("/requests/999999999999999")).status(), 404);
  await examine(page, "not-found", { status: 404 });
  assert.equal((await page.goto("/requests?status=nonsense&channel=nonsense")).status(), 200);
  await examine(page, "requests-nothing");
  // A form of an older page, and one that is no form of ours.
  await page.goto("/profile");
  await sendForm(page, "/profile", { csrf: "of another page" });
  await page.getByRole("heading", { name: "Not from here" }).waitFor();
  await examine(page, "foreign", { status: 403 });
  await page.goto("/profile");
  await sendForm(page, "/profile/customer", { purpose: "x".repeat(70_000) });
  await page.getByRole("heading", { name: "That could not be read" }).waitFor();
  await examine(page, "unreadable", { status: 400 });

  const clerk = newNumber();
  await page.goto("/team");
  await page.getByLabel("Phone number").fill(clerk);
  await page.getByLabel(/^finance/i).check();
  await page.getByRole("button", { name: "Invite" }).click();
  await page.getByRole("cell", { name: "finance" }).waitFor();
  await forget(page);
  await logIn(page, clerk);
  await page.getByRole("button", { name: /^Accept/ }).click();
  await page.getByText("You belong to the team now.").waitFor();
  assert.equal((await page.goto("/tokens")).status(), 403);
  await examine(page, "forbidden", { status: 403 });

  await forget(page);
  await page.goto("/login");
  const number = "+393331234567"; // one of those that are not for tests
  await page.getByLabel("Phone number").fill(number);
  await page.getByRole("button", { name: "Send a code" }).click();
  const many = page.getByText("Too many codes were sent to this number.");
  for (let time = 0; time < 6 && !(await many.count()); time += 1) {
    await codeOf(number);
    await Promise.all([page.waitForEvent("load"), page.getByRole("button", { name: "Send another code" }).click()]);
  }
  await many.waitFor();
  await examine(page, "too-many");

  await forget(page);
  await logIn(page, owner);
  await advance(3600);
  await page.goto("/tokens/new");
  await page.getByRole("heading", { name: "Is it you?" }).waitFor();
  await examine(page, "prove");
  await page.goto("/team");
  await examine(page, "team-unconfirmed");
  complaints.length = 0; // the browser tells of answers of 400 and above
});
