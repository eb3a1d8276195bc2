//! Customers as they describe themselves, the people who log in for them, and what each may do.

use crate::store::columns::{open_phone, parsed, seal_phone};
use crate::store::statement::{Change, Columns, Row, Statement};
use crate::store::{Reader, StoreError};
use crate::vault::{Purpose, Vault};
use chappe_core::{AccountId, Mode, Money, Phone, Time};
use std::fmt;

/// A customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomerId(pub i64);

/// Somebody who logs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonId(pub i64);

/// What somebody may do for a customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Everything.
    Owner,
    /// Whatever sending codes needs; no money, no people.
    Developer,
    /// Money; no codes, no tokens.
    Finance,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 3] = [Role::Owner, Role::Developer, Role::Finance];

    /// The name in rows and on pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Owner => "owner",
            Role::Developer => "developer",
            Role::Finance => "finance",
        }
    }

    /// The role with this name.
    pub fn parse(text: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.as_str() == text)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Somebody who logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonRow {
    /// Their id.
    pub id: PersonId,
    /// Their number.
    pub phone: Phone,
    /// What they are called; empty until they have said it.
    pub name: String,
    /// Whether they run this gateway.
    pub operator: bool,
    /// When they first came.
    pub created_at: Time,
}

/// A customer for whom somebody may act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembershipRow {
    /// The customer.
    pub customer: CustomerId,
    /// The customer's name.
    pub name: String,
    /// What the person may do.
    pub role: Role,
    /// The live account.
    pub live: AccountId,
    /// Its test twin.
    pub test: AccountId,
}

impl MembershipRow {
    /// The account of this mode.
    pub fn account(&self, mode: Mode) -> AccountId {
        match mode {
            Mode::Live => self.live,
            Mode::Test => self.test,
        }
    }
}

/// Somebody who may act for a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberRow {
    /// Who.
    pub person: PersonRow,
    /// What they may do.
    pub role: Role,
    /// Since when.
    pub since: Time,
    /// Whether they said yes to it. Of somebody who has not, nothing is known but the number that was typed in: that it is
    /// somebody's who logs in here, and how they are called, is not the customer's business.
    pub accepted: bool,
    /// When they last asked for a page, as far as sessions are remembered.
    pub seen_at: Option<Time>,
}

/// What a customer says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// The company.
    pub company: String,
    /// Where it can be written to.
    pub email: String,
    /// Its country.
    pub country: String,
    /// Its city.
    pub city: String,
    /// Its website.
    pub website: String,
    /// What it sends codes for.
    pub purpose: String,
}

/// A customer, for pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomerRow {
    /// Its id.
    pub id: CustomerId,
    /// Its name.
    pub name: String,
    /// What it says of itself.
    pub profile: Profile,
    /// Below which balance its people are warned.
    pub low_balance: Option<Money>,
    /// Since when it is there.
    pub created_at: Time,
}

/// The columns that [`person`] reads, in its order.
const PERSON: &str = "person.id, person.phone_key, person.phone_sealed, person.name, person.operator, \
                      person.created_at";

/// What [`Reader::memberships_by`] reads, of a person.
const MEMBERSHIP: &str = "customer.id, customer.name, member.role, live.id, twin.id FROM member
     JOIN customer ON customer.id = member.customer_id
     JOIN account AS live ON live.customer_id = customer.id AND live.mode = 'live'
     JOIN account AS twin ON twin.customer_id = customer.id AND twin.mode = 'test'
     WHERE member.person_id = $1";

/// How many unanswered invitations are shown.
const INVITATIONS_MAX: i64 = 20;

pub(super) fn person(vault: &Vault, columns: &mut Columns) -> Result<PersonRow, StoreError> {
    let id = PersonId(columns.number()?);
    let phone_key = columns.number()?;
    Ok(PersonRow {
        id,
        phone: open_phone(vault, Purpose::Person, phone_key, &columns.bytes()?)?,
        name: columns.text()?,
        operator: columns.flag()?,
        created_at: columns.time()?,
    })
}

impl Reader {
    /// Who logs in with this number.
    pub async fn person_of(&self, phone: Phone) -> Result<Option<PersonRow>, StoreError> {
        let find = format!("SELECT {PERSON} FROM person WHERE phone_key = $1");
        self.one_person(Statement::new(find).with(self.vault().phone_key(phone))).await
    }

    /// Somebody who logs in.
    pub async fn person(&self, id: PersonId) -> Result<Option<PersonRow>, StoreError> {
        self.one_person(Statement::new(format!("SELECT {PERSON} FROM person WHERE id = $1")).with(id.0)).await
    }

    async fn one_person(&self, find: Statement) -> Result<Option<PersonRow>, StoreError> {
        let found = self.rows(&find).await?.pop();
        found.map(|row| person(self.vault(), &mut Columns::of(row))).transpose()
    }

    /// Those who run this gateway.
    pub async fn operators(&self) -> Result<Vec<PersonRow>, StoreError> {
        let find = format!("SELECT {PERSON} FROM person WHERE operator = 1 ORDER BY id");
        let found = self.rows(&Statement::new(find)).await?;
        found.into_iter().map(|row| person(self.vault(), &mut Columns::of(row))).collect()
    }

    /// For which customers somebody may act, by name.
    pub async fn memberships(&self, person: PersonId) -> Result<Vec<MembershipRow>, StoreError> {
        let find = format!("SELECT {MEMBERSHIP} AND member.accepted_at IS NOT NULL ORDER BY customer.name");
        self.memberships_by(Statement::new(find).with(person.0)).await
    }

    /// Which customers have asked somebody to act for them, and have no answer yet, the latest first.
    pub async fn invitations(&self, person: PersonId) -> Result<Vec<MembershipRow>, StoreError> {
        let find = format!(
            "SELECT {MEMBERSHIP} AND member.accepted_at IS NULL ORDER BY member.created_at DESC, customer.id LIMIT $2"
        );
        self.memberships_by(Statement::new(find).with(person.0).with(INVITATIONS_MAX)).await
    }

    async fn memberships_by(&self, find: Statement) -> Result<Vec<MembershipRow>, StoreError> {
        let membership = |row: Row| {
            let mut columns = Columns::of(row);
            Ok(MembershipRow {
                customer: CustomerId(columns.number()?),
                name: columns.text()?,
                role: parsed("role", Role::parse(&columns.text()?))?,
                live: AccountId(columns.number()?),
                test: AccountId(columns.number()?),
            })
        };
        self.rows(&find).await?.into_iter().map(membership).collect()
    }

    /// Who may act for a customer, or is asked to, the longest there first.
    pub async fn members(&self, customer: CustomerId) -> Result<Vec<MemberRow>, StoreError> {
        let find = format!(
            "SELECT {PERSON}, member.role, member.created_at, member.accepted_at,
                 (SELECT max(seen_at) FROM session WHERE session.person_id = person.id)
             FROM member JOIN person ON person.id = member.person_id
             WHERE member.customer_id = $1 ORDER BY member.created_at, person.id"
        );
        let member = |row: Row| {
            let mut columns = Columns::of(row);
            let mut member = MemberRow {
                person: person(self.vault(), &mut columns)?,
                role: parsed("role", Role::parse(&columns.text()?))?,
                since: columns.time()?,
                accepted: columns.optional_time()?.is_some(),
                seen_at: columns.optional_time()?,
            };
            if !member.accepted {
                member.person.name.clear();
                member.seen_at = None;
            }
            Ok(member)
        };
        self.rows(&Statement::new(find).with(customer.0)).await?.into_iter().map(member).collect()
    }

    /// A customer.
    pub async fn customer(&self, id: CustomerId) -> Result<Option<CustomerRow>, StoreError> {
        let find = Statement::new(
            "SELECT id, name, company, email, country, city, website, purpose, low_balance, created_at
             FROM customer WHERE id = $1",
        );
        let customer = |row: Row| {
            let mut columns = Columns::of(row);
            Ok(CustomerRow {
                id: CustomerId(columns.number()?),
                name: columns.text()?,
                profile: Profile {
                    company: columns.text()?,
                    email: columns.text()?,
                    country: columns.text()?,
                    city: columns.text()?,
                    website: columns.text()?,
                    purpose: columns.text()?,
                },
                low_balance: columns.optional_number()?.map(Money::from_micros),
                created_at: columns.time()?,
            })
        };
        self.rows(&find.with(id.0)).await?.pop().map(customer).transpose()
    }

    /// What an account has.
    pub async fn balance(&self, account: AccountId) -> Result<Money, StoreError> {
        let find = Statement::new("SELECT balance FROM account WHERE id = $1").with(account.0);
        let found = self.rows(&find).await?.pop();
        let missing = || StoreError::NotFound(format!("there is no account {}", account.0));
        Columns::of(found.ok_or_else(missing)?).money()
    }

    /// The customer of this name.
    pub async fn customer_named(&self, name: &str) -> Result<Option<CustomerId>, StoreError> {
        let find = Statement::new("SELECT id FROM customer WHERE name = $1").with(name);
        let found = self.rows(&find).await?.pop();
        found.map(|row| Columns::of(row).number().map(CustomerId)).transpose()
    }
}

/// Notes somebody who logs in, unless they are known.
pub fn know(vault: &Vault, phone: Phone, name: &str, now: Time) -> Change {
    let put =
        "INSERT INTO person (phone_key, phone_sealed, name, operator, created_at) VALUES ($1, $2, $3, 0, $4)
               ON CONFLICT (phone_key) DO NOTHING";
    let phone_key = vault.phone_key(phone);
    let sealed = seal_phone(vault, Purpose::Person, phone_key, phone);
    Change::default().and(Statement::new(put).with(phone_key).with(sealed).with(name).with(now))
}

/// What somebody is called.
pub fn rename(person: PersonId, name: &str) -> Change {
    let update = "UPDATE person SET name = $2 WHERE id = $1";
    Change::default().must(Statement::new(update).with(person.0).with(name))
}

/// Makes somebody one of those who run this gateway, or no longer.
pub fn set_operator(person: PersonId, operator: bool) -> Change {
    let update = "UPDATE person SET operator = $2 WHERE id = $1";
    Change::default().must(Statement::new(update).with(person.0).with(operator))
}

/// How many people may act for a customer.
pub const MEMBERS_MAX: i64 = 100;

/// Lets somebody act for a customer. Nothing is done if they may already, or as many as can be may.
pub fn join(customer: CustomerId, person: PersonId, role: Role, now: Time) -> Change {
    put_member(customer, person, role, now, Some(now))
}

/// Asks somebody to act for a customer: they may once they said yes. Nothing is done if they were asked already, or as many
/// as can be were.
pub fn invite(customer: CustomerId, person: PersonId, role: Role, now: Time) -> Change {
    put_member(customer, person, role, now, None)
}

fn put_member(
    customer: CustomerId,
    person: PersonId,
    role: Role,
    now: Time,
    accepted: Option<Time>,
) -> Change {
    let put = "INSERT INTO member (customer_id, person_id, role, created_at, accepted_at)
               SELECT id, CAST($2 AS BIGINT), CAST($3 AS TEXT), CAST($4 AS BIGINT), CAST($5 AS BIGINT) FROM customer
               WHERE id = $1 AND (SELECT count(*) FROM member WHERE customer_id = $1) < $6
               ON CONFLICT (customer_id, person_id) DO NOTHING";
    let put = Statement::new(put).with(customer.0).with(person.0).with(role.as_str()).with(now);
    Change::default().must(put.with(accepted).with(MEMBERS_MAX))
}

/// Says yes to what a customer has asked.
pub fn accept(customer: CustomerId, person: PersonId, now: Time) -> Change {
    let update = "UPDATE member SET accepted_at = $3
                  WHERE customer_id = $1 AND person_id = $2 AND accepted_at IS NULL";
    Change::default().must(Statement::new(update).with(customer.0).with(person.0).with(now))
}

/// Says no to it.
pub fn decline(customer: CustomerId, person: PersonId) -> Change {
    let delete = "DELETE FROM member WHERE customer_id = $1 AND person_id = $2 AND accepted_at IS NULL";
    Change::default().must(Statement::new(delete).with(customer.0).with(person.0))
}

/// Keeps the last owner from being lost: a customer without one could never have one again.
const ANOTHER_OWNER: &str =
    "EXISTS (SELECT 1 FROM member AS other WHERE other.customer_id = member.customer_id
                                     AND other.person_id <> member.person_id AND other.role = 'owner'
                                     AND other.accepted_at IS NOT NULL)";

/// Changes what somebody may do. Nothing is done if it would leave the customer without an owner.
pub fn set_role(customer: CustomerId, person: PersonId, role: Role) -> Change {
    let update = format!(
        "UPDATE member SET role = $3 WHERE customer_id = $1 AND person_id = $2
           AND ($3 = 'owner' OR role <> 'owner' OR {ANOTHER_OWNER})"
    );
    Change::default().must(Statement::new(update).with(customer.0).with(person.0).with(role.as_str()))
}

/// Lets somebody act for a customer no longer, and shows them its pages no longer. Nothing is done if it would leave the
/// customer without an owner.
pub fn part(customer: CustomerId, person: PersonId) -> Change {
    let delete = format!(
        "DELETE FROM member WHERE customer_id = $1 AND person_id = $2 AND (role <> 'owner' OR {ANOTHER_OWNER})"
    );
    let turn = "UPDATE session SET customer_id = NULL WHERE customer_id = $1 AND person_id = $2";
    let of = |text: String| Statement::new(text).with(customer.0).with(person.0);
    Change::default().must(of(delete)).and(of(turn.to_owned()))
}

/// What a customer says of itself.
pub fn describe(customer: CustomerId, profile: &Profile) -> Change {
    let update =
        "UPDATE customer SET company = $2, email = $3, country = $4, city = $5, website = $6, purpose = $7
                  WHERE id = $1";
    let Profile { company, email, country, city, website, purpose } = profile;
    let fields = [company, email, country, city, website, purpose];
    let update = Statement::new(update).with(customer.0);
    Change::default().must(fields.into_iter().fold(update, |update, field| update.with(field.as_str())))
}

/// Below which balance a customer's people are warned.
pub fn set_low_balance(customer: CustomerId, below: Option<Money>) -> Change {
    let update = "UPDATE customer SET low_balance = $2 WHERE id = $1";
    Change::default().must(Statement::new(update).with(customer.0).with(below))
}
