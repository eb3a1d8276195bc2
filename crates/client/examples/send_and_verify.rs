//! Sends a code to a phone, asks for it, and says whether it is right.
//!
//! ```text
//! GATEWAY_TOKEN=… GATEWAY_PHONE=+391234567890 cargo run --example send_and_verify
//! ```
//!
//! Against another gateway than Telegram's, set `GATEWAY_URL` as well.
#![allow(clippy::print_stdout)]

use chappe_client::{Client, Error, SendMessage, client::TELEGRAM_BASE_URL};
use std::env;
use std::io::stdin;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let token = env::var("GATEWAY_TOKEN").map_err(|_| "set GATEWAY_TOKEN")?;
    let phone = env::var("GATEWAY_PHONE").map_err(|_| "set GATEWAY_PHONE, such as +391234567890")?;
    let base_url = env::var("GATEWAY_URL").unwrap_or_else(|_| TELEGRAM_BASE_URL.to_owned());
    let client = Client::new(&base_url, &token)?;

    let ability = match client.check_send_ability(&phone).await {
        Ok(ability) => ability,
        Err(Error::Refused(refusal)) => {
            return Err(format!("{phone} cannot be sent a code: {refusal}").into());
        }
        Err(error) => return Err(error.into()),
    };
    let message = SendMessage::with_code_length(&phone, 6).request_id(&ability.request_id).ttl_s(60);
    let sent = client.send_verification_message(&message).await?;
    println!("Request {} cost {}. Which code has arrived?", sent.request_id, sent.request_cost);

    for line in stdin().lines() {
        if client.verify(&sent.request_id, line?.trim()).await? {
            println!("That is the one.");
            return Ok(());
        }
        println!("That is not it, or not any more. Try again, or give up with Ctrl-D.");
    }
    client.revoke_verification_message(&sent.request_id).await?;
    println!("Withdrawn.");
    Ok(())
}
