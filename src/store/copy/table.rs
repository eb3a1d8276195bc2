//! The tables that are copied, column by column, and what their rows come to.

use crate::store::statement::Cell;
use sha2::{Digest, Sha256};

/// A table that is copied.
#[derive(Debug)]
pub(in crate::store) struct Table {
    pub(in crate::store) name: &'static str,
    /// How many of the first columns are its key.
    pub(in crate::store) keys: usize,
    /// Its columns, with the types that they have in PostgreSQL.
    pub(in crate::store) columns: &'static [(&'static str, Kind)],
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Kind {
    Big,
    Int,
    Small,
    Text,
    Bytes,
}
use Kind::{Big, Bytes, Int, Small, Text};

impl Kind {
    /// Its name in PostgreSQL.
    pub(in crate::store) fn name(self) -> &'static str {
        match self {
            Big => "bigint",
            Int => "integer",
            Small => "smallint",
            Text => "text",
            Bytes => "bytea",
        }
    }
}

impl Table {
    /// The names of these columns, parted by commas.
    pub(in crate::store) fn names(&self, columns: usize) -> String {
        self.columns.iter().take(columns).map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }
}

/// What the rows of a table come to, in whatever order: how many they are, and the sum of their digests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct Sum {
    pub(in crate::store) rows: u64,
    digests: u128,
}

impl Sum {
    /// Counts a row.
    pub(in crate::store) fn add(&mut self, row: &[Cell]) {
        let mut digest = Sha256::new();
        for cell in row {
            // Each cell says what it is and how long, so that no two rows read the same.
            let (kind, bytes): (u8, &[u8]) = match cell {
                Cell::Null => (0, &[]),
                Cell::Number(number) => (1, &number.to_be_bytes()),
                Cell::Text(text) => (2, text.as_bytes()),
                Cell::Bytes(bytes) => (3, bytes),
            };
            digest.update([kind]);
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        }
        let first = digest.finalize().iter().take(16).fold(0, |sum, byte| (sum << 8) | u128::from(*byte));
        self.rows += 1;
        self.digests = self.digests.wrapping_add(first);
    }

    /// The sum of the digests, as people compare it.
    pub(in crate::store) fn hex(&self) -> String {
        format!("{:032x}", self.digests)
    }
}

/// Every table whose rows are somebody's, those first that others name. `meta` is copied note by note; `phone_window`
/// is derived, and `node` is each database's own.
pub(in crate::store) const TABLES: [Table; 18] = [
    Table {
        name: "customer",
        keys: 1,
        columns: &[
            ("id", Big),
            ("name", Text),
            ("created_at", Big),
            ("company", Text),
            ("email", Text),
            ("country", Text),
            ("city", Text),
            ("website", Text),
            ("purpose", Text),
            ("low_balance", Big),
        ],
    },
    Table {
        name: "account",
        keys: 1,
        columns: &[
            ("id", Big),
            ("customer_id", Big),
            ("mode", Text),
            ("balance", Big),
            ("transfers", Big),
            ("own_number_sealed", Bytes),
            ("single_use", Small),
            ("rate_spent_until", Big),
            ("created_at", Big),
        ],
    },
    Table {
        name: "token",
        keys: 1,
        columns: &[
            ("id", Big),
            ("account_id", Big),
            ("name", Text),
            ("digest", Bytes),
            ("sealed", Bytes),
            ("allowed", Text),
            ("created_at", Big),
            ("expires_at", Big),
            ("revoked_at", Big),
            ("last_used_at", Big),
            ("last_used_from", Text),
        ],
    },
    Table {
        name: "sender",
        keys: 2,
        columns: &[
            ("account_id", Big),
            ("username", Text),
            ("verified", Small),
            ("created_at", Big),
            ("proven_at", Big),
        ],
    },
    Table {
        name: "request",
        keys: 1,
        columns: &[
            ("id", Big),
            ("account_id", Big),
            ("token_id", Big),
            ("phone_key", Big),
            ("phone_sealed", Bytes),
            ("country", Text),
            ("created_at", Big),
            ("cost", Big),
            ("refunded", Small),
            ("ability_checked", Small),
            ("route", Text),
            ("channel", Text),
            ("reports", Small),
            ("events", Int),
            ("timeline", Text),
            ("sender", Text),
            ("payload", Text),
            ("callback_url", Text),
            ("ttl_s", Int),
            ("code_mac", Bytes),
            ("code_sealed", Bytes),
            ("sent_at", Big),
            ("delivery", Text),
            ("delivery_at", Big),
            ("code_expires_at", Big),
            ("verified_at", Big),
            ("last_check", Text),
            ("last_check_at", Big),
            ("attempts", Small),
            ("hop", Small),
            ("progress", Text),
            ("progress_at", Big),
            ("channel_reference", Text),
            ("due_at", Big),
            ("hop_until", Big),
            ("open_hops", Small),
        ],
    },
    Table {
        name: "channel_reference",
        keys: 2,
        columns: &[("channel", Text), ("reference", Text), ("request_id", Big), ("hop", Small), ("at", Big)],
    },
    Table {
        name: "subscriber",
        keys: 2,
        columns: &[
            ("channel", Text),
            ("phone_key", Big),
            ("phone_sealed", Bytes),
            ("chat_id", Big),
            ("language", Text),
            ("blocked", Small),
            ("created_at", Big),
        ],
    },
    Table {
        name: "transfer",
        keys: 2,
        columns: &[
            ("account_id", Big),
            ("seq", Big),
            ("debit", Big),
            ("credit", Big),
            ("amount", Big),
            ("kind", Text),
            ("request_id", Big),
            ("reference", Text),
            ("reason", Text),
            ("balance_after", Big),
            ("at", Big),
        ],
    },
    Table {
        name: "report",
        keys: 2,
        columns: &[
            ("request_id", Big),
            ("seq", Small),
            ("account_id", Big),
            ("token_id", Big),
            ("receiver", Text),
            ("delivery", Text),
            ("delivery_at", Big),
            ("verification", Text),
            ("verification_at", Big),
            ("refunded", Small),
            ("state", Text),
            ("attempts", Small),
            ("due_at", Big),
            ("leased", Small),
            ("last_result", Text),
            ("last_at", Big),
            ("last_ms", Big),
        ],
    },
    Table {
        name: "phone_failure",
        keys: 2,
        columns: &[("account_id", Big), ("phone_key", Big), ("moments", Text), ("last_at", Big)],
    },
    Table {
        name: "day",
        keys: 4,
        columns: &[
            ("account_id", Big),
            ("day", Int),
            ("country", Text),
            ("channel", Text),
            ("checked", Big),
            ("sent", Big),
            ("delivered", Big),
            ("read", Big),
            ("expired", Big),
            ("revoked", Big),
            ("verified", Big),
            ("charged", Big),
            ("refunded", Big),
        ],
    },
    Table {
        name: "idempotency",
        keys: 2,
        columns: &[
            ("account_id", Big),
            ("key", Bytes),
            ("body", Bytes),
            ("request_id", Big),
            ("cost", Big),
            ("remaining_balance", Big),
            ("sent_at", Big),
            ("at", Big),
        ],
    },
    Table {
        name: "person",
        keys: 1,
        columns: &[
            ("id", Big),
            ("phone_key", Big),
            ("phone_sealed", Bytes),
            ("name", Text),
            ("operator", Small),
            ("created_at", Big),
        ],
    },
    Table {
        name: "member",
        keys: 2,
        columns: &[
            ("customer_id", Big),
            ("person_id", Big),
            ("role", Text),
            ("created_at", Big),
            ("accepted_at", Big),
        ],
    },
    Table {
        name: "session",
        keys: 1,
        columns: &[
            ("digest", Bytes),
            ("id", Big),
            ("person_id", Big),
            ("customer_id", Big),
            ("mode", Text),
            ("created_at", Big),
            ("seen_at", Big),
            ("confirmed_at", Big),
            ("address", Text),
            ("agent", Text),
        ],
    },
    Table {
        name: "login",
        keys: 1,
        columns: &[
            ("digest", Bytes),
            ("phone_key", Big),
            ("phone_sealed", Bytes),
            ("request_id", Big),
            ("attempts", Big),
            ("created_at", Big),
            ("address", Text),
        ],
    },
    Table {
        name: "audit_log",
        keys: 1,
        columns: &[
            ("id", Big),
            ("at", Big),
            ("customer_id", Big),
            ("person_id", Big),
            ("who", Text),
            ("action", Text),
            ("detail", Text),
            ("address", Text),
        ],
    },
    Table {
        name: "payment",
        keys: 1,
        columns: &[
            ("id", Text),
            ("provider", Text),
            ("account_id", Big),
            ("amount", Big),
            ("price", Text),
            ("link", Text),
            ("state", Text),
            ("charge", Text),
            ("payer", Text),
            ("refunded", Big),
            ("created_at", Big),
            ("changed_at", Big),
        ],
    },
];

/// The tables whose ids the database gives out.
pub(in crate::store) const NUMBERED: [&str; 5] = ["customer", "account", "token", "person", "audit_log"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::statement::Row;

    #[test]
    fn a_sum_knows_no_order_and_sees_every_cell() {
        let sum = |rows: &[Row]| {
            let mut sum = Sum::default();
            rows.iter().for_each(|row| sum.add(row));
            sum
        };
        let (one, other) = (vec![Cell::Number(1), Cell::Null], vec![Cell::Text("1".to_owned()), Cell::Null]);
        assert_eq!(sum(&[one.clone(), other.clone()]), sum(&[other.clone(), one.clone()]));
        let alone = sum(std::slice::from_ref(&one));
        assert_ne!(alone, sum(std::slice::from_ref(&other)));
        assert_ne!(alone, sum(&[one.clone(), one]));
        let split =
            |left: &str, right: &str| sum(&[vec![Cell::Text(left.to_owned()), Cell::Text(right.to_owned())]]);
        assert_ne!(split("ab", "c"), split("a", "bc"));
        assert_ne!(sum(&[vec![Cell::Text("x".to_owned())]]), sum(&[vec![Cell::Bytes(b"x".to_vec())]]));
    }
}
