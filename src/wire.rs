//! From the rules' values to the wire's types.

use chappe_client::wire::{
    DeliveryState, DeliveryStatus, RequestStatus, VerificationState, VerificationStatus,
};
use chappe_core::{Delivery, Verification, View};

/// The API as an OpenAPI document.
pub const OPENAPI: &str = include_str!("openapi.json");

/// A request as the wire shows it.
pub fn request_status(view: &View) -> RequestStatus {
    RequestStatus {
        request_id: view.request.to_string(),
        phone_number: view.phone.to_string(),
        request_cost: view.cost,
        is_refunded: view.refunded,
        remaining_balance: view.remaining_balance,
        delivery_status: view
            .delivery
            .map(|(delivery, at)| DeliveryStatus { status: delivery_state(delivery), updated_at: at.secs() }),
        verification_status: view.verification.map(|(verification, at)| VerificationStatus {
            status: verification_state(verification),
            updated_at: at.secs(),
            code_entered: view.code_entered.as_deref().map(str::to_owned),
        }),
        payload: view.payload.as_ref().map(|payload| payload.as_str().to_owned()),
    }
}

fn delivery_state(delivery: Delivery) -> DeliveryState {
    match delivery {
        Delivery::Sent => DeliveryState::Sent,
        Delivery::Delivered => DeliveryState::Delivered,
        Delivery::Read => DeliveryState::Read,
        Delivery::Expired => DeliveryState::Expired,
        Delivery::Revoked => DeliveryState::Revoked,
    }
}

fn verification_state(verification: Verification) -> VerificationState {
    match verification {
        Verification::Valid => VerificationState::CodeValid,
        Verification::Invalid => VerificationState::CodeInvalid,
        Verification::MaxAttemptsExceeded => VerificationState::CodeMaxAttemptsExceeded,
        Verification::Expired => VerificationState::Expired,
    }
}
