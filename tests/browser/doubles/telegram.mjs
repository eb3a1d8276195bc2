// Telegram, as far as paying with Stars needs it, after https://core.telegram.org/bots/payments-stars: the Bot API on
// loopback, and the page behind an invoice's link.

import { json, page, serve } from "./http.mjs";

const ORIGIN = "https://t.me";
/** Who pays. */
const PAYER = { id: 42, is_bot: false, first_name: "Anna", language_code: "en" };

export class Telegram {
  token = "123456789:AAExample-token_of_a_bot";
  origin = ORIGIN;
  /** The charges that went back. */
  refunded = [];
  #invoices = new Map();
  #updates = [];
  #number = 1;
  #waiting = new Set();
  #asked = new Map();
  #server;

  static async start() {
    const telegram = new Telegram();
    telegram.#server = await serve((request) => telegram.#api(request));
    return telegram;
  }

  get url() { return this.#server.url; }
  close() { this.#server.close(); }

  async #api({ path, body }) {
    const [, token, method] = /^\/bot([^/]+)\/(\w+)$/.exec(path) ?? [];
    if (token !== this.token) return json({ ok: false, error_code: 401, description: "Unauthorized" }, 401);
    const result = await this.#call(method, body ? JSON.parse(body) : {});
    if (result?.refused) return json({ ok: false, error_code: 400, description: `Bad Request: ${result.refused}` }, 400);
    return result === undefined
      ? json({ ok: false, error_code: 404, description: "Not Found: method not found" }, 404)
      : json({ ok: true, result });
  }

  async #call(method, asked) {
    switch (method) {
      case "getMe": return { id: 123456789, is_bot: true, first_name: "Example", username: "example_bot" };
      case "setMyCommands": case "deleteWebhook": return true;
      case "getUpdates": return this.#news(asked);
      case "createInvoiceLink": {
        const { title = "", description = "", payload = "", currency, prices = [], provider_token } = asked;
        const fits = (text, most) => text.length >= 1 && text.length <= most;
        const good = fits(title, 32) && fits(description, 255) && fits(payload, 128) && currency === "XTR" && !provider_token;
        if (!good || prices.length !== 1 || !(prices[0].amount > 0)) return { refused: "STARS_INVOICE_INVALID" };
        const link = `${ORIGIN}/$invoice${this.#invoices.size + 1}`;
        this.#invoices.set(link, { title, payload, stars: prices[0].amount });
        return link;
      }
      case "answerPreCheckoutQuery":
        this.#asked.get(asked.pre_checkout_query_id)?.(asked);
        return true;
      case "refundStarPayment": {
        const charge = asked.telegram_payment_charge_id;
        if (asked.user_id !== PAYER.id) return { refused: "USER_ID_INVALID" };
        if (this.refunded.includes(charge)) return { refused: "CHARGE_ALREADY_REFUNDED" };
        this.refunded.push(charge);
        return true;
      }
      default: return undefined;
    }
  }

  /** What has happened since, or the next thing that does. */
  async #news({ offset = 0, timeout = 0 }) {
    this.#updates = this.#updates.filter((update) => update.update_id >= (offset ?? 0));
    if (this.#updates.length === 0) {
      await new Promise((wake) => {
        const late = setTimeout(wake, timeout * 1000);
        late.unref();
        this.#waiting.add(() => { clearTimeout(late); wake(); });
      });
    }
    return this.#updates;
  }

  #happens(what) {
    this.#updates.push({ update_id: this.#number++, ...what });
    for (const wake of this.#waiting) wake();
    this.#waiting.clear();
  }

  /** Shows the page behind a link, and does what is pressed there. */
  visit = async ({ url, method }) => {
    const invoice = this.#invoices.get(url);
    if (!invoice) return { status: 404, body: "" };
    if (method === "GET") return page(invoice.title, "Telegram", [["pay", `Pay ${invoice.stars} Stars`]]);
    const { payload, stars } = invoice;
    const id = `query-${this.#number}`;
    const answer = new Promise((resolve) => this.#asked.set(id, resolve));
    this.#happens({
      pre_checkout_query: { id, from: PAYER, currency: "XTR", total_amount: stars, invoice_payload: payload },
    });
    const { ok, error_message: why } = await answer;
    if (!ok) return page("Not paid", why, []);
    const charge = `charge-${this.#number}`;
    this.#happens({
      message: {
        message_id: this.#number, date: Math.floor(Date.now() / 1000), chat: { id: PAYER.id, type: "private" }, from: PAYER,
        successful_payment: {
          currency: "XTR", total_amount: stars, invoice_payload: payload,
          telegram_payment_charge_id: charge, provider_payment_charge_id: "",
        },
      },
    });
    return page("Paid", "Thank you.", []);
  };
}
