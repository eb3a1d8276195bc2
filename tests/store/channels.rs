//! What channels outside bring along: who subscribed, what they call messages, and turns that end by themselves.

use crate::house::{House, channel, on_every_database, stored, subscriber};
use crate::reference::{OTHER, Order, PHONE, START, phone, to};
use chappe::store::{PurgeBefore, SubscriberRow};
use chappe_core::request::Progress;
use chappe_core::{ChannelEvent, Command, Phone, Rejection, Request, RequestId, Time, Work};
use std::time::Duration;

on_every_database! {
    a_turn_comes_back_as_it_was,
    who_may_still_deliver_comes_back_as_it_was,
    a_message_is_asked_back_after_a_restart,
    names_lead_to_the_newest_message,
    old_names_are_forgotten,
    a_number_has_one_chat_and_a_chat_one_number,
    whoever_blocks_the_channel_is_left_out,
}

fn accepted(name: &str) -> ChannelEvent {
    ChannelEvent::Accepted { reference: Some(name.to_owned()), poll_at: None }
}

fn failed() -> ChannelEvent {
    ChannelEvent::Failed { reason: "no such subscriber".to_owned() }
}

impl House {
    async fn sent(&mut self, order: &Order<'_>) -> RequestId {
        self.send(self.people.alice, order).await.unwrap().request
    }

    async fn say(&mut self, request: RequestId, hop: u8, event: ChannelEvent) {
        let channel = self.row(request).await.route[usize::from(hop)].channel.clone();
        let command = Command::Channel { now: self.now, request, hop, channel, events: vec![event] };
        self.command(command).await.unwrap();
    }

    async fn look(&mut self, request: RequestId) {
        self.command(Command::Due { now: self.now, request, may_expire: true }).await.unwrap();
    }

    pub(crate) async fn row(&self, request: RequestId) -> Request {
        stored(&mut self.place.open().await, request).await.unwrap()
    }

    /// The hops that may still deliver it, as bits.
    async fn open_hops(&self, request: RequestId) -> u8 {
        self.row(request).await.message.unwrap().open_hops
    }

    /// The hop, when its turn ends (in seconds after the start), how far it has got, and what it calls the message.
    async fn turn(&self, request: RequestId) -> (u8, Option<u64>, Progress, Option<String>) {
        let message = self.row(request).await.message.unwrap();
        let until = message.hop_until.map(|until| until.since(START).as_secs());
        (message.hop, until, message.progress, message.channel_reference)
    }

    /// What a channel's name stands for.
    async fn named(&self, name: &str) -> Option<(RequestId, u8)> {
        self.reader.message_of(&channel("sms"), name).await.unwrap()
    }
}

fn at(secs: u64) -> Time {
    START + Duration::from_secs(secs)
}

async fn a_turn_comes_back_as_it_was(mut house: House) {
    let id = house.sent(&Order { hops: &["sms:40", "mail:20", "voice"], ttl: Some(300), ..to(PHONE) }).await;
    assert_eq!(house.turn(id).await, (0, Some(40), Progress::Leased(at(30)), None));
    let route: Vec<_> = house.row(id).await.route.iter().map(ToString::to_string).collect();
    assert_eq!(route, ["sms:40", "mail:20", "voice"]);
    house.say(id, 0, accepted("one")).await;
    assert_eq!(house.turn(id).await, (0, Some(40), Progress::Accepted(None), Some("one".to_owned())));
    assert_eq!(house.reader.next_due_request().await.unwrap(), Some(at(40)));
    house.wait(41).look(id).await;
    assert_eq!(house.turn(id).await, (1, Some(61), Progress::Leased(at(71)), None));
    assert_eq!(house.reader.due_requests(at(61), 10).await.unwrap(), [id]);
    house.say(id, 1, failed()).await;
    assert_eq!(house.turn(id).await, (2, None, Progress::Leased(at(71)), None));
    house.say(id, 0, ChannelEvent::Delivered).await;
    assert_eq!(house.turn(id).await, (0, None, Progress::Ended, None));
    assert_eq!(house.reader.next_due_request().await.unwrap(), None);
    assert_eq!(house.reader.request(id).await.unwrap().unwrap().channel, channel("sms"));
    house.audit().await;
}

async fn who_may_still_deliver_comes_back_as_it_was(mut house: House) {
    let hops = &["bot:10", "sms:10", "mail:10", "voice:10", "bot:10", "sms:10", "mail:10", "voice"];
    let order = |number| Order { hops, ttl: Some(300), ..to(number) };
    let id = house.sent(&order(PHONE)).await;
    for hop in 0..7_u8 {
        house.wait(10).look(id).await;
        assert_eq!(house.open_hops(id).await, u8::MAX >> (7 - hop), "hop {hop} was handed it");
    }
    house.say(id, 7, ChannelEvent::Uncertain { reason: "no answer".to_owned() }).await;
    assert_eq!(house.open_hops(id).await, u8::MAX);
    house.audit().await;
    for hop in [3, 7, 0, 5, 6, 1, 2, 4] {
        assert_eq!(house.turn(id).await, (7, None, Progress::Uncertain, None));
        house.say(id, hop, failed()).await;
        assert_eq!(house.open_hops(id).await & (1 << hop), 0);
        house.audit().await;
    }
    assert_eq!(house.turn(id).await, (7, None, Progress::Ended, None));
    assert!(house.row(id).await.refunded, "nobody is left who could deliver it");

    let id = house.sent(&order(OTHER)).await;
    house.wait(10).look(id).await;
    assert_eq!(house.open_hops(id).await, 1);
    house.say(id, 0, ChannelEvent::Delivered).await;
    assert_eq!((house.open_hops(id).await, house.turn(id).await), (0, (0, None, Progress::Ended, None)));
    house.audit().await;
}

async fn a_message_is_asked_back_after_a_restart(mut house: House) {
    let id = house.sent(&to(PHONE)).await;
    house.say(id, 0, accepted("one")).await;
    let caller = house.people.alice;
    house.command(Command::Revoke { caller, now: house.now, request: id }).await.unwrap();
    assert_eq!(house.turn(id).await.2, Progress::Withdrawing(at(30)));
    house.audit().await;
    // Whoever was asked is gone with the process.
    house.store = house.place.open().await;
    house.wait(30);
    assert_eq!(house.reader.due_requests(house.now, 10).await.unwrap(), [id]);
    let due = Command::Due { now: house.now, request: id, may_expire: true };
    let (_, news) = crate::house::run(&mut house.store, &house.rules, &[due]).await.unwrap();
    let [Work::Withdraw(job)] = &news.work[..] else { panic!("{:?}", news.work) };
    assert_eq!((job.request, job.reference.as_deref()), (id, Some("one")));
    house.say(id, 0, ChannelEvent::Withdrawn).await;
    assert_eq!(house.turn(id).await.2, Progress::Ended);
    assert_eq!(house.reader.next_due_request().await.unwrap(), None);
    house.audit().await;
}

async fn names_lead_to_the_newest_message(mut house: House) {
    let first = house.sent(&Order { hops: &["sms", "mail"], ..to(PHONE) }).await;
    let second = house.sent(&Order { hops: &["mail", "sms"], ..to(OTHER) }).await;
    assert_eq!(house.named("one").await, None);
    house.say(first, 0, accepted("one")).await;
    house.say(first, 0, accepted("naïve 'two' \\")).await;
    assert_eq!(house.named("one").await, Some((first, 0)));
    assert_eq!(house.named("naïve 'two' \\").await, Some((first, 0)), "each name leads to it");
    assert_eq!(house.named("ONE").await, None, "names are as they were given");
    assert_eq!(house.named("one\0").await, None);
    assert_eq!(
        house.reader.message_of(&channel("mail"), "one").await.unwrap(),
        None,
        "each channel has its own"
    );
    house.say(second, 0, failed()).await;
    house.say(second, 1, accepted("one")).await;
    assert_eq!(house.named("one").await, Some((second, 1)), "given out again, it means the newer message");
    // In one batch, the last one has it.
    let says = |request, hop| Command::Channel {
        now: house.now,
        request,
        hop,
        channel: channel("sms"),
        events: vec![accepted("three")],
    };
    house.batch(&[says(second, 1), says(first, 0), says(second, 1), says(first, 0)]).await;
    assert_eq!(house.named("three").await, Some((first, 0)));
    house.audit().await;
}

async fn old_names_are_forgotten(mut house: House) {
    let id = house.sent(&to(PHONE)).await;
    house.say(id, 0, accepted("old")).await;
    house.wait(10).say(id, 0, accepted("young")).await;
    house.wait(100);
    let never = Time::from_micros(0);
    let before = |references| PurgeBefore { keys: never, failures: never, codes: never, references };
    house.store.purge(before(START)).await.unwrap();
    assert_eq!(house.named("old").await, Some((id, 0)), "it is not older than that");
    assert!(!house.store.purge(before(at(10))).await.unwrap(), "there is no more to be done");
    assert_eq!((house.named("old").await, house.named("young").await), (None, Some((id, 0))));
    house.audit().await;
}

/// Who is found at a number of the channel `bot`, by chat.
async fn found(house: &House, number: Phone) -> Option<SubscriberRow> {
    house.reader.subscriber(&channel("bot"), number).await.unwrap()
}

async fn a_number_has_one_chat_and_a_chat_one_number(mut house: House) {
    let (one, two) = (phone(PHONE), phone(OTHER));
    assert_eq!(found(&house, one).await, None);
    let first = subscriber("bot", one, 4711);
    house.store.put_subscriber(&first).await.unwrap();
    house.store.put_subscriber(&subscriber("club", one, 4711)).await.unwrap();
    assert_eq!(found(&house, one).await, Some(first.clone()));
    assert_eq!(found(&house, two).await, None);

    // The number moves to another account of the messenger.
    let moved =
        SubscriberRow { language: String::new(), created_at: at(5), ..subscriber("bot", one, i64::MIN) };
    house.store.put_subscriber(&moved).await.unwrap();
    assert_eq!(found(&house, one).await, Some(moved.clone()));
    assert!(
        !house.store.remove_subscriber(&channel("bot"), 4711).await.unwrap(),
        "that chat is nobody's now"
    );
    // The account gets another number.
    let renumbered = subscriber("bot", two, i64::MIN);
    house.store.put_subscriber(&renumbered).await.unwrap();
    assert_eq!((found(&house, one).await, found(&house, two).await), (None, Some(renumbered.clone())));
    // Both at once: number and chat belonged to two others.
    house.store.put_subscriber(&first).await.unwrap();
    let both = subscriber("bot", two, 4711);
    house.store.put_subscriber(&both).await.unwrap();
    assert_eq!((found(&house, one).await, found(&house, two).await), (None, Some(both)));

    assert!(house.store.remove_subscriber(&channel("bot"), 4711).await.unwrap());
    assert!(!house.store.remove_subscriber(&channel("bot"), 4711).await.unwrap());
    assert_eq!(found(&house, two).await, None);
    let elsewhere = house.reader.subscriber(&channel("club"), one).await.unwrap();
    assert_eq!(elsewhere.map(|row| row.chat_id), Some(4711), "another channel's subscribers are not touched");
}

async fn whoever_blocks_the_channel_is_left_out(mut house: House) {
    let order = Order { hops: &["bot:30", "sms"], subscribers_only: &["bot"], ..to(PHONE) };
    let only = Order { hops: &["bot"], ..order.clone() };
    let alice = house.people.alice;
    async fn first_hop(house: &mut House, order: &Order<'_>) -> String {
        let id = house.sent(order).await;
        house.row(id).await.route[0].to_string()
    }
    assert_eq!(first_hop(&mut house, &order).await, "sms");
    let row = subscriber("bot", phone(PHONE), 4711);
    house.store.put_subscriber(&row).await.unwrap();
    assert_eq!(first_hop(&mut house, &order).await, "bot:30");
    assert!(house.store.block_subscriber(&row.channel, 4711).await.unwrap());
    assert!(!house.store.block_subscriber(&row.channel, 4711).await.unwrap(), "that is no news");
    assert!(!house.store.block_subscriber(&row.channel, 4712).await.unwrap(), "nobody has this chat");
    assert_eq!(first_hop(&mut house, &order).await, "sms");
    let balance = house.balance(alice).await;
    assert_eq!(house.send(alice, &only).await.map(drop), Err(Rejection::PhoneNumberNotAvailable));
    assert_eq!(house.balance(alice).await, balance);
    assert_eq!(found(&house, row.phone).await.map(|row| row.blocked), Some(true));
    // Whoever subscribes again has thought better of it.
    house.store.put_subscriber(&row).await.unwrap();
    assert_eq!(first_hop(&mut house, &order).await, "bot:30");
    house.store.remove_subscriber(&row.channel, 4711).await.unwrap();
    assert_eq!(house.send(alice, &only).await.map(drop), Err(Rejection::PhoneNumberNotAvailable));
    // Of many in one batch, each is judged by itself.
    house.store.put_subscriber(&subscriber("bot", phone(OTHER), 4712)).await.unwrap();
    let sends = [PHONE, OTHER].map(|number| {
        Order { phone: number, ..only.clone() }.send_command(alice, house.now, crate::house::fresh_id())
    });
    let answers: Vec<_> = house.batch(&sends).await.into_iter().map(|answer| answer.map(drop)).collect();
    assert_eq!(answers, [Err(Rejection::PhoneNumberNotAvailable), Ok(())]);
    house.audit().await;
}
