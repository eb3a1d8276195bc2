// Stripe, as far as a checkout needs it, after https://docs.stripe.com/api/checkout/sessions and
// https://docs.stripe.com/webhooks: its API on loopback, the page on which one pays, and what it tells of that.

import { createHmac } from "node:crypto";
import { json, page, serve } from "./http.mjs";

const ORIGIN = "https://checkout.stripe.com";

export class Stripe {
  key = "sk_test_of_a_double";
  secret = "whsec_of_a_double";
  /** Where people pay. */
  origin = ORIGIN;
  /** Where its events go, once that is known. */
  webhook;
  #sessions = new Map();
  #server;

  static async start() {
    const stripe = new Stripe();
    stripe.#server = await serve((request) => stripe.#api(request));
    return stripe;
  }

  get url() { return this.#server.url; }
  close() { this.#server.close(); }

  #api({ method, path, headers, body }) {
    const refused = (status, message) => json({ error: { message, type: "invalid_request_error" } }, status);
    if (headers.authorization !== `Bearer ${this.key}`) return refused(401, "Invalid API Key provided");
    if (method !== "POST" || path !== "/v1/checkout/sessions") return refused(404, `Unrecognized request URL (${method}: ${path})`);
    const form = new URLSearchParams(body);
    const item = (name) => form.get(`line_items[0]${name}`);
    const units = Number(item("[price_data][unit_amount]")) * Number(item("[quantity]"));
    if (form.get("mode") !== "payment" || !(units > 0)) return refused(400, "Invalid line items");
    const before = this.#sessions.get(headers["idempotency-key"]);
    if (before) return json(before);
    const id = `cs_test_${this.#sessions.size + 1}`;
    const session = {
      id, object: "checkout.session", url: `${ORIGIN}/c/pay/${id}`, mode: "payment", livemode: false,
      status: "open", payment_status: "unpaid", payment_intent: null, customer_details: null,
      amount_subtotal: units, amount_total: units, currency: item("[price_data][currency]"),
      client_reference_id: form.get("client_reference_id"),
      metadata: { chappe_payment: form.get("metadata[chappe_payment]") },
      success_url: form.get("success_url"), cancel_url: form.get("cancel_url"),
    };
    // Stripe gives these to the charge, not to the session.
    Object.defineProperty(session, "ofCharge", { value: { chappe_payment: form.get("payment_intent_data[metadata][chappe_payment]") } });
    this.#sessions.set(headers["idempotency-key"], session);
    return json(session);
  }

  #session(url) {
    return [...this.#sessions.values()].find((session) => session.url === url);
  }

  /** Shows the page of Checkout, and does what is pressed there: a handler of routes of the browser. */
  visit = async ({ url, method, body }) => {
    const session = this.#session(url);
    if (!session) return { status: 404, body: "" };
    if (method === "GET") {
      const amount = `${(session.amount_total / 100).toFixed(2)} ${session.currency.toUpperCase()}`;
      return page("Checkout", `Pay ${amount}`, [["card", `Pay ${amount}`], ["bank", "Pay by bank transfer"], ["back", "Back"]]);
    }
    const chosen = new URLSearchParams(body).get("do");
    if (chosen === "back") return { to: session.cancel_url };
    Object.assign(session, { status: "complete", payment_intent: `pi_${session.id}`, customer_details: { email: "anna@rossi.example" } });
    if (chosen === "card") session.payment_status = "paid";
    await this.#tell("checkout.session.completed", session);
    return { to: session.success_url };
  };

  /** The money of a bank transfer arrives. */
  async arrives(url) {
    const session = this.#session(url);
    session.payment_status = "paid";
    await this.#tell("checkout.session.async_payment_succeeded", session);
  }

  /** All of a payment goes back, from Stripe's dashboard. */
  async refund(url) {
    const session = this.#session(url);
    await this.#tell("charge.refunded", {
      id: `ch_${session.id}`, object: "charge", amount: session.amount_total, amount_refunded: session.amount_total,
      currency: session.currency, payment_intent: session.payment_intent, refunded: true, metadata: session.ofCharge,
    });
  }

  async #tell(type, object) {
    const created = Math.floor(Date.now() / 1000);
    const event = { id: `evt_${type}_${object.id}`, object: "event", api_version: "2025-09-30.clover", livemode: false, created, type, data: { object } };
    const body = JSON.stringify(event);
    const signature = createHmac("sha256", this.secret).update(`${created}.${body}`).digest("hex");
    const answer = await fetch(this.webhook, {
      method: "POST",
      headers: { "Content-Type": "application/json; charset=utf-8", "Stripe-Signature": `t=${created},v1=${signature}` },
      body,
    });
    if (!answer.ok) throw new Error(`${type} was answered ${answer.status}`);
  }
}
