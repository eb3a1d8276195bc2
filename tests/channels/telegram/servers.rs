//! Several servers over one database, and the operator's commands beside them.

use super::double::{BotApi, TOKEN};
use super::{ANN, BEN, link, message, setup, until};
use crate::support::{Server, must};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

#[tokio::test]
async fn one_server_alone_asks_and_another_takes_over_when_it_is_gone() {
    let api = BotApi::start().await;
    let (first, second) = Server::start_two(|it| setup(it, &api, &["bot"], json!({}))).await;
    link(&api, ANN).await;
    assert_eq!(api.count("sendMessage"), 2, "each update was heard by one");
    // Whoever listens: the database is the same.
    let request = second.send_until(message(), "delivered").await;
    until(&first, &request, "delivered bot").await;
    drop(first);
    link(&api, BEN).await;
    assert_eq!(api.count("sendMessage"), 5);
    second.send_until(message(), "delivered").await;
    assert_eq!(api.call("sendMessage", 6).await.body["chat_id"], BEN.id);
}

#[tokio::test]
async fn a_turn_lasts_as_long_as_its_connection() {
    let (first, second) = Server::start_two(|_| {}).await;
    let mut leads = first.reader().lead("something").await.unwrap();
    // Something else has its own turn.
    second.reader().lead("something else").await.unwrap();
    let waits = tokio::time::timeout(Duration::from_millis(200), second.reader().lead("something")).await;
    assert!(waits.is_err(), "two lead at once");
    first.cut_leads().await;
    must("the turn to be over", leads.lost()).await;
    let leads = must("the next turn", second.reader().lead("something")).await.unwrap();
    drop(leads);
    must("the next turn", first.reader().lead("something")).await.unwrap();
}

#[tokio::test]
async fn a_server_that_has_lost_the_database_listens_again_once_it_is_back() {
    let api = BotApi::start().await;
    let (first, second) = Server::start_two(|it| setup(it, &api, &["bot"], json!({}))).await;
    link(&api, ANN).await;
    for _ in 0..2 {
        first.cut_leads().await;
        link(&api, ANN).await;
    }
    second.send_until(message(), "delivered").await;
}

/// A directory with a configuration, in which the operator's commands are run.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new(api: &BotApi) -> Desk {
        let desk = Desk(tempfile::tempdir().unwrap());
        let (key, url) = ("ab".repeat(32), api.url());
        std::fs::write(desk.path().join("key"), key).unwrap();
        let readable = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(desk.path().join("key"), readable).unwrap();
        let settings = format!(
            "key_file = \"key\"\ndata = \"data\"\n[channels.bot]\nkind = \"telegram\"\ntoken = \"{TOKEN}\"\n\
             base_url = \"{url}\"\n"
        );
        std::fs::write(desk.path().join("chappe.toml"), settings).unwrap();
        desk
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chappe"));
        command.args(arguments).current_dir(self.path());
        // The Bot API that it calls is served by this test's own runtime.
        tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
    }

    async fn must(&self, arguments: &[&str]) -> Value {
        let output = self.run(arguments).await;
        assert!(output.status.success(), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    async fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        assert!(!output.status.success(), "{output:?}");
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!told.contains(TOKEN), "{told}");
        told
    }
}

#[tokio::test]
async fn a_sender_is_proven_by_whoever_shared_the_customers_own_number() {
    let api = BotApi::start().await;
    let desk = Desk::new(&api);
    let verify = ["sender", "verify", "shop", "@Example_Shop", "--channel", "bot", "--json"];
    desk.must(&["account", "create", "shop", "--json"]).await;
    assert!(desk.refused(&verify).await.contains("has no own number"));
    desk.must(&["account", "set", "shop", "--own-number", "+391234567890", "--json"]).await;
    assert!(desk.refused(&verify).await.contains("nobody has shared shop's own number"));
    subscribe(desk.path(), ANN.id).await;
    assert!(desk.refused(&verify).await.contains("make it one of the channel's administrators"));
    api.world().administrators.insert("@example_shop".to_owned(), vec![BEN.id]);
    assert!(desk.refused(&verify).await.contains("not among the administrators of @example_shop"));
    let none = desk.must(&["account", "show", "shop", "--json"]).await;
    assert_eq!((&none[0]["senders"], &none[1]["senders"]), (&json!([]), &json!([])));

    api.world().administrators.insert("@example_shop".to_owned(), vec![BEN.id, ANN.id]);
    let proven = desk.must(&verify).await;
    let sender = json!([{ "username": "example_shop", "verified": true }]);
    assert_eq!((&proven[0]["senders"], &proven[1]["senders"]), (&sender, &sender));
    let other = ["sender", "verify", "shop", "@Example_Shop", "--channel", "sms"];
    assert!(desk.refused(&other).await.contains("there is no [channels.sms]"));
}

/// Lets somebody be subscribed with the number that they shared with the bot.
async fn subscribe(directory: &Path, chat_id: i64) {
    use chappe::store::{Durability, Store, SubscriberRow};
    use chappe::vault::{MasterKey, Vault};
    let vault = Vault::new(&MasterKey::from_bytes([0xab; 32]));
    let mut store = Store::open_sqlite(&directory.join("data"), vault, Durability::Full).unwrap();
    let row = SubscriberRow {
        channel: super::name("bot"),
        phone: chappe_core::Phone::parse(super::PHONE).unwrap(),
        chat_id,
        language: String::new(),
        blocked: false,
        created_at: chappe_core::Time::from_secs(super::NOW),
    };
    store.put_subscriber(&row).await.unwrap();
}
