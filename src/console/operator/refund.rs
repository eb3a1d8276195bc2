//! Giving Stars back. What Stripe collected goes back on Stripe's own pages, which tell us of it.

use super::Desk;
use crate::console::confirm::{ConfirmPage, Point};
use crate::console::form::Posted;
use crate::console::path::Named;
use crate::console::shell::show;
use crate::console::trouble::{Trouble, see_other};
use crate::funding::{book, shown};
use crate::store::Change;
use crate::store::console::audit_log::Entry;
use crate::store::console::payments::{Collector, PaymentRow, PaymentState};
use axum::response::Response;

/// A payment that can be given back, and the page of its customer.
async fn find(desk: &Desk, id: &str) -> Result<(PaymentRow, Entry, String), Trouble> {
    let pages = &desk.app().pages;
    let row = pages.payment(id).await?.filter(|row| row.collector == Collector::Stars);
    let row = row.ok_or(Trouble::NotFound)?;
    let customer = pages.customer_of(row.account).await?.ok_or(Trouble::NotFound)?;
    let detail = format!("{} for {}", row.amount, shown(&row.price));
    let entry = Entry { customer: Some(customer), ..desk.0.entry("payment.give-back", detail) };
    Ok((row, entry, format!("/operator/accounts/{}", customer.0)))
}

pub(super) async fn page(desk: Desk, Named(id): Named<String>) -> Result<Response, Trouble> {
    let (row, _, back) = find(&desk, &id).await?;
    if row.state != PaymentState::Paid {
        return Ok(see_other(&format!("{back}?said=unchanged")));
    }
    let left = desk.app().pages.balance(row.account).await?;
    let mut points =
        vec![Point { text: format!("{} are taken from the balance, which is {left}.", row.amount) }];
    if left < row.amount {
        let text = "That is more than there is: what is missing was spent already, and is your loss.";
        points.push(Point { text: text.to_owned() });
    }
    show(&ConfirmPage {
        shell: desk.shell("/operator"),
        title: format!("Give {} back?", shown(&row.price)),
        text: "The Stars go back to whoever paid them. This cannot be undone.".to_owned(),
        points,
        crumb: "Customer".to_owned(),
        back,
        action: format!("/operator/payments/{}/refund", row.id),
        hidden: Vec::new(),
        submit: "Give back",
        danger: true,
    })
}

/// Gives the Stars back, and only then takes the credits: should that be cut off here, the bot hears of the refund.
pub(super) async fn give_back(
    Named(id): Named<String>,
    Posted { visit, .. }: Posted,
) -> Result<Response, Trouble> {
    let desk = Desk::of(visit)?;
    let (row, entry, back) = find(&desk, &id).await?;
    desk.0.confirmed(&format!("/operator/payments/{}/refund", row.id))?;
    let app = desk.app();
    let stars = app.settings.funding.stars.as_ref();
    let bot = stars.and_then(|stars| app.channels.outside(&stars.channel)?.bot());
    let payer = row.payer.parse::<i64>().ok();
    let (Some(bot), Some(payer), Some(charge), PaymentState::Paid) = (bot, payer, &row.charge, row.state)
    else {
        return Ok(see_other(&format!("{back}?said=unchanged")));
    };
    desk.0.change(Change::default().noted(&entry)).await?;
    if let Err(error) = bot.refund_star_payment(payer, charge).await {
        tracing::error!(%error, payment = row.id, "Stars could not be given back");
        return Ok(see_other(&format!("{back}?said=not-given-back")));
    }
    match book::all_gone_back(app, Collector::Stars, charge).await {
        Ok(_) => Ok(see_other(&format!("{back}?said=given-back"))),
        Err(error) => {
            tracing::error!(%error, payment = row.id, "what went back is not booked yet");
            Err(Trouble::Busy)
        }
    }
}
