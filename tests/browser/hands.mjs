// Two ways through the same forms: with nothing but a keyboard, and with a mouse in a browser without scripts.

import assert from "node:assert/strict";

const STOPS_MAX = 150; // on one page, until a trap is what it is

/** Nothing but keys: Tab until there, then what one types there. Every stop on the way has to be seen. */
export class Keys {
  scripts = true;

  constructor(page) {
    this.page = page;
  }

  #press = (key) => this.page.keyboard.press(key);

  /** What has the focus: whether it is `wanted`, whether one sees that, and what it is. */
  #look(wanted) {
    return this.page.evaluate((wanted) => {
      const at = document.activeElement;
      const { outlineStyle, outlineWidth } = getComputedStyle(at);
      const { left, top, right, bottom } = at.getBoundingClientRect();
      const inSight = right > 0 && bottom > 0 && left < innerWidth && top < innerHeight;
      return {
        none: at === document.body,
        there: at === wanted,
        inGroup: at.type === "radio" && wanted?.type === "radio" && at.name === wanted.name && at.form === wanted.form,
        seen: inSight && outlineStyle !== "none" && parseFloat(outlineWidth) >= 1,
        skip: at.matches("a.skip"),
        what: `${at.localName} "${(at.getAttribute("aria-label") ?? at.textContent).trim().slice(0, 40) || at.id}"`,
      };
    }, wanted);
  }

  /** Goes to an element by Tab; from the top of a page past what stands on every page. */
  async #reach(locator) {
    await locator.waitFor();
    const wanted = await locator.elementHandle();
    let now = await this.#look(wanted);
    // An address that names a place on the page begins there.
    const top = (wanted) => Boolean(!location.hash && wanted.closest("main") && document.querySelector("a.skip"));
    if (now.none && await this.page.evaluate(top, wanted)) {
      await this.#press("Tab");
      now = await this.#look(wanted);
      assert.ok(now.skip && now.seen, `the first stop of ${this.page.url()} is no visible way to skip: ${now.what}`);
      await this.#press("Enter");
    }
    const met = [];
    for (; !now.there && !now.inGroup; now = await this.#look(wanted)) {
      assert.ok(met.length < STOPS_MAX, `${await locator.textContent()} is not among ${met.join(", ")}`);
      await this.#press("Tab");
      const { none, seen, what } = await this.#look(wanted);
      assert.ok(none || seen, `${this.page.url()}: the focus on ${what} cannot be seen`);
      met.push(what);
    }
    return now;
  }

  /** Does something after which another page comes; there the focus is at its top, at what is wrong, or where it begins. */
  async #leave(key) {
    const [answer] = await Promise.all([this.page.waitForEvent("load"), this.#press(key)]);
    assert.ok(answer);
    const at = await this.page.evaluate(() => {
      const at = document.activeElement;
      const sensible = at === document.body || at.matches("#faults, #main, #q, [autofocus]");
      return sensible ? "" : at.outerHTML.slice(0, 100);
    });
    assert.equal(at, "", `${this.page.url()}: a strange place to begin`);
  }

  async fill(field, text) {
    await this.#reach(field);
    await this.#press("ControlOrMeta+a");
    await (text ? this.page.keyboard.type(text) : this.#press("Delete"));
  }

  async send(button) {
    await this.#reach(button);
    await this.#leave("Enter");
  }

  async follow(link) {
    await this.#reach(link);
    await this.#leave("Enter");
  }

  /** Presses a button that leads nowhere. */
  async push(button) {
    await this.#reach(button);
    await this.#press("Space");
  }

  async choose(radio) {
    let { there } = await this.#reach(radio);
    const wanted = await radio.elementHandle();
    for (let step = 0; !there; step += 1) {
      assert.ok(step < 20, "the arrows do not lead there");
      await this.#press("ArrowDown");
      ({ there } = await this.#look(wanted));
    }
    if (!(await radio.isChecked())) await this.#press("Space");
    assert.ok(await radio.isChecked());
  }

  async pick(select, label) {
    await this.#reach(select);
    await this.page.keyboard.type(label);
    const chosen = await select.evaluate((select) => select.selectedOptions[0].label);
    assert.ok(chosen.startsWith(label), chosen);
  }

  async open(summary) {
    await this.#reach(summary);
    await this.#press("Enter");
  }
}

/** A mouse, in a browser that runs no scripts. */
export class Mouse {
  scripts = false;

  constructor(page) {
    this.page = page;
  }

  fill = (field, text) => field.fill(text);
  choose = (radio) => radio.check();
  pick = (select, label) => select.selectOption({ label });
  open = (summary) => summary.click();
  send = (button) => Promise.all([this.page.waitForEvent("load"), button.click()]);
  follow = (link) => this.send(link);
}
