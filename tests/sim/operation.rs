//! What happens in a simulated life: a list of operations that a seed determines, before anything of it is done.
//!
//! An operation names a request by how many were made after it, and an account by its place in the cast, so the list
//! means something whatever became of the operations before.

use crate::cast::{ACCOUNTS, ANNA, BERT, FOREIGN_SENDER, MAGIC, ORDINARY, OWN};
use crate::cast::{PRICE, UNVERIFIED_SENDER, VERIFIED_SENDER};
use chappe::env::Random;
use chappe_core::route::Reach;

/// One thing that happens.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// Time passes.
    Pass { millis: u64 },
    /// A client makes a call, so many times at once. It may hang up before it is answered.
    Call { plan: Plan, way: Way, times: usize, hangs_up: bool },
    /// A client repeats a call that it made with an idempotency key, whether or not that was answered.
    Again { back: usize, hangs_up: bool },
    /// The operator moves money, so many times at once.
    Credit { who: usize, micros: i64, reference: Option<u8>, times: usize },
    /// The delivery worker takes some of what it was given. `dice` decides which, and what scripted channels say.
    Work { take: usize, handling: Handling, dice: u64 },
    /// A channel says something by itself: late, again, out of order, or for a hop that is long over.
    News { back: usize, hop: u8, news: Vec<News> },
    /// Somebody subscribes, blocks the channel, or goes.
    Subscribe { phone: &'static str, standing: Standing },
    /// The due worker makes its round.
    Due { may_expire: bool },
    /// The report worker makes its round; `dice` decides what receivers say. `twice`: two workers claim the same.
    Reports { dice: u64, twice: bool },
    /// An attempt at a report that seemed lost is concluded after all.
    LateConclusion { dice: u64 },
    /// The next commit that changes anything fails.
    FailCommit,
    /// The process is killed; before, what waits is committed but not answered, or not even that. Then it starts again.
    Crash { committed: bool },
    /// What is no longer needed is forgotten.
    Purge,
}

/// A step of a life.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) operation: Operation,
    /// Waits for the next step, to go into one batch with it.
    pub(crate) held: bool,
}

/// How a call reaches the engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Over HTTP, as far as the router.
    Wire,
    /// As a command, for what the wire cannot ask: channels other than the sandbox.
    Command,
}

/// What a client asks for.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    Check {
        who: usize,
        phone: &'static str,
        key: Option<u8>,
        script: Script,
    },
    Send {
        who: usize,
        phone: &'static str,
        prior: Option<Prior>,
        wish: Wish,
        key: Option<u8>,
        script: Script,
    },
    Status {
        back: usize,
        stranger: bool,
        guess: Guess,
    },
    Revoke {
        back: usize,
        stranger: bool,
    },
    Balance {
        who: usize,
    },
}

/// A request id to send under.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prior {
    /// Counted among those that were asked about by checkSendAbility; among all if not `checked`.
    pub(crate) back: usize,
    pub(crate) checked: bool,
    /// By its own account to its own number, whatever else the plan says.
    pub(crate) faithful: bool,
}

/// What a client wants of a message.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wish {
    /// The client's own code; drawn by the gateway if not (over the wire alone).
    pub(crate) own_code: Option<&'static str>,
    pub(crate) sender: Option<&'static str>,
    pub(crate) callback: Option<&'static str>,
    pub(crate) payload: Option<&'static str>,
    pub(crate) ttl_s: Option<u16>,
}

/// The route of an ordinary number of a live account, where the call goes in as a command.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Script {
    pub(crate) hops: &'static [&'static str],
    pub(crate) reach: Reach,
}

/// A code that somebody enters.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Guess {
    None,
    Right,
    Wrong,
    WrongLength,
}

/// What a worker makes of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handling {
    Done,
    /// Done twice, and both outcomes are written down.
    Doubled,
    /// The worker dies over it.
    Dropped,
}

/// What a channel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    Accepted { name: Name, ask_after_s: Option<u64> },
    Busy { secs: u64 },
    Postponed { secs: u64 },
    Unavailable { secs: u64 },
    Failed,
    Uncertain,
    Delivered,
    Read,
    Withdrawn,
}

/// What a channel calls a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    /// Nothing.
    None,
    /// As no other.
    Own,
    /// As it called others before.
    Used,
}

/// How a number stands with [`crate::cast::FOR_SUBSCRIBERS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Subscribed,
    Blocked,
    Gone,
}

/// Chance, as a seed determines it.
#[derive(Debug)]
pub(crate) struct Dice(Random);

impl Dice {
    pub(crate) fn new(seed: u64) -> Dice {
        Dice(Random::seeded(seed))
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0.below(u32::try_from(bound).unwrap()).unwrap() as usize
    }

    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn number(&mut self) -> u64 {
        self.below(1 << 30) as u64
    }
}

/// The life of this seed.
pub(crate) fn life(seed: u64, steps: usize) -> Vec<Step> {
    // Far apart in the generator's sequence, so that no life is another one's with a later start.
    let mut dice = Dice::new(seed.wrapping_mul(0xD6E8_FEB8_6659_FD93));
    (0..steps)
        .map(|_| {
            let operation = operation(&mut dice);
            // What drives several batches by itself cannot wait for company.
            let alone = matches!(
                operation,
                Operation::Reports { .. }
                    | Operation::Subscribe { .. }
                    | Operation::Crash { .. }
                    | Operation::Purge
                    | Operation::FailCommit
            );
            Step { held: !alone && dice.percent(30), operation }
        })
        .collect()
}

fn operation(dice: &mut Dice) -> Operation {
    match dice.below(200) {
        ..28 => Operation::Pass { millis: millis(dice) },
        28..96 => call(dice),
        96..104 => Operation::Again { back: back(dice), hangs_up: dice.percent(10) },
        104..112 => {
            let micros =
                dice.pick(&[PRICE, 3 * PRICE, 8 * PRICE, 20 * PRICE, -PRICE, -4 * PRICE, -30 * PRICE, 0]);
            let reference = dice.percent(50).then(|| dice.below(4) as u8);
            Operation::Credit {
                who: dice.below(ACCOUNTS),
                micros,
                reference,
                times: dice.pick(&[1, 1, 1, 2]),
            }
        }
        112..142 => {
            let handling = dice.pick(&[
                Handling::Done,
                Handling::Done,
                Handling::Done,
                Handling::Done,
                Handling::Done,
                Handling::Done,
                Handling::Doubled,
                Handling::Dropped,
            ]);
            Operation::Work { take: dice.pick(&[1, 1, 2, 3, 8]), handling, dice: dice.number() }
        }
        142..156 => {
            let news = (0..1 + dice.below(3)).map(|_| news(dice)).collect();
            Operation::News { back: back(dice), hop: dice.pick(&[0, 0, 0, 1, 1, 2]), news }
        }
        156..173 => Operation::Due { may_expire: dice.percent(80) },
        173..187 => Operation::Reports { dice: dice.number(), twice: dice.percent(10) },
        187..190 => Operation::LateConclusion { dice: dice.number() },
        190..194 => Operation::FailCommit,
        194..197 => Operation::Crash { committed: dice.percent(50) },
        197..199 => {
            let standing =
                dice.pick(&[Standing::Subscribed, Standing::Subscribed, Standing::Blocked, Standing::Gone]);
            Operation::Subscribe { phone: dice.pick(&[OWN, ORDINARY[0], ORDINARY[1]]), standing }
        }
        _ => Operation::Purge,
    }
}

fn call(dice: &mut Dice) -> Operation {
    let stranger = dice.percent(8);
    let (plan, times) = match dice.below(100) {
        ..40 => (send(dice), dice.pick(&[1, 1, 1, 1, 1, 1, 2, 6])),
        40..56 => {
            let (who, phone) = (who(dice), number(dice));
            (Plan::Check { who, phone, key: key(dice), script: script(dice) }, dice.pick(&[1, 1, 1, 2]))
        }
        56..86 => {
            let guess = dice.pick(&[
                Guess::None,
                Guess::Right,
                Guess::Right,
                Guess::Wrong,
                Guess::Wrong,
                Guess::WrongLength,
            ]);
            (Plan::Status { back: back(dice), stranger, guess }, dice.pick(&[1, 1, 1, 2, 3, 5, 6]))
        }
        86..98 => (Plan::Revoke { back: back(dice), stranger }, 1),
        _ => (Plan::Balance { who: dice.below(ACCOUNTS) }, 1),
    };
    let way = if dice.percent(50) { Way::Wire } else { Way::Command };
    Operation::Call { plan, way, times, hangs_up: dice.percent(6) }
}

fn send(dice: &mut Dice) -> Plan {
    let prior = dice.percent(35).then(|| Prior {
        back: back(dice),
        checked: dice.percent(85),
        faithful: dice.percent(85),
    });
    let wish = Wish {
        own_code: dice.pick(&[Some("1234"), Some("00420042"), Some("987654"), None]),
        sender: dice.pick(&[
            None,
            None,
            None,
            None,
            None,
            None,
            Some(VERIFIED_SENDER),
            Some(UNVERIFIED_SENDER),
            Some(FOREIGN_SENDER),
        ]),
        callback: dice.pick(&[
            None,
            Some("https://anna.example/hook"),
            Some("https://bert.example:8443/hook?of=1"),
        ]),
        payload: dice.pick(&[None, Some("order 7"), Some("\"quoted\" \\ é😀")]),
        ttl_s: dice.pick(&[None, None, Some(30), Some(60), Some(300), Some(3600)]),
    };
    Plan::Send { who: who(dice), phone: number(dice), prior, wish, key: key(dice), script: script(dice) }
}

/// Mostly the two live accounts.
fn who(dice: &mut Dice) -> usize {
    dice.pick(&[ANNA, ANNA, ANNA, BERT, BERT, 1, 3])
}

fn number(dice: &mut Dice) -> &'static str {
    match dice.below(10) {
        0 => OWN,
        1..4 => ORDINARY[1],
        4 => ORDINARY[dice.below(3)],
        _ => MAGIC[dice.below(10)],
    }
}

fn key(dice: &mut Dice) -> Option<u8> {
    dice.percent(25).then(|| dice.below(4) as u8)
}

fn script(dice: &mut Dice) -> Script {
    const ROUTES: [&[&str]; 8] = [
        &["sms"],
        &["sms", "mail"],
        &["sms:30", "mail"],
        &["mail:60", "sandbox"],
        &["sms:5", "mail:5", "voice"],
        &["bot:30", "sms"],
        &["sms:10", "bot"],
        &["bot"],
    ];
    let reach = match dice.below(20) {
        0 => Reach::No,
        1 => Reach::Wait(7),
        _ => Reach::Yes,
    };
    Script { hops: dice.pick(&ROUTES), reach }
}

/// Mostly one of the latest.
fn back(dice: &mut Dice) -> usize {
    if dice.percent(80) { dice.below(4) } else { dice.below(30) }
}

fn millis(dice: &mut Dice) -> u64 {
    const SHORT: [u64; 8] = [1, 20, 500, 999, 1_000, 2_000, 5_000, 10_000];
    const MIDDLE: [u64; 6] = [29_999, 30_000, 30_001, 60_000, 120_000, 300_000];
    const LONG: [u64; 6] = [599_999, 600_000, 3_600_000, 10_800_000, 86_400_000, 172_800_000];
    match dice.below(20) {
        ..11 => dice.pick(&SHORT),
        11..18 => dice.pick(&MIDDLE),
        _ => dice.pick(&LONG),
    }
}

pub(crate) fn name(dice: &mut Dice) -> Name {
    dice.pick(&[Name::None, Name::Own, Name::Own, Name::Own, Name::Used])
}

fn news(dice: &mut Dice) -> News {
    match dice.below(15) {
        ..3 => {
            News::Accepted { name: name(dice), ask_after_s: dice.pick(&[None, Some(1), Some(10), Some(60)]) }
        }
        3 => News::Postponed { secs: dice.pick(&[1, 10, 60]) },
        12 => News::Busy { secs: dice.pick(&[1, 10, 60]) },
        13 => News::Unavailable { secs: dice.pick(&[1, 10, 60]) },
        14 => News::Withdrawn,
        4 | 5 => News::Failed,
        6 => News::Uncertain,
        7..10 => News::Delivered,
        _ => News::Read,
    }
}
