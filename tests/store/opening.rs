//! Databases that cannot be used: each is refused with one line that says what to do, and no password in it.

use crate::house::{House, START, WINDOW, vault};
use crate::postgres::{CAREFUL, Database, PASSWORD, cluster, database};
use chappe::store::postgres::Reader;
use chappe::store::{Store, StoreError};
use chappe::vault::{MasterKey, Vault};

/// What opening this URL is refused with.
async fn refusal(url: &str) -> String {
    let error = Store::open_postgres(url, vault()).await.err().unwrap_or_else(|| panic!("{url} was opened"));
    assert!(!error.is_fatal() || matches!(error, StoreError::WrongKey));
    let line = error.to_string();
    assert!(!line.contains('\n') && !line.contains(PASSWORD) && !line.contains("hunter"), "{line}");
    line
}

fn of(database: &Database, user: &str, password: &str, rest: &str) -> String {
    format!("postgres://{user}:{password}@127.0.0.1:{}/{}{rest}", database.port, database.name)
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let database = database().await;
    for (url, words) in [
        ("db.example/x".to_owned(), "must look like postgres://"),
        (of(&database, CAREFUL, "hunter2", ""), "check the user and the password"),
        (
            of(&Database { name: "nowhere".to_owned(), ..database.clone() }, "chappe", "x", ""),
            "CREATE DATABASE",
        ),
        (of(&Database { port: 1, ..database.clone() }, "chappe", "x", ""), "127.0.0.1:1/"),
        ("postgres://chappe:hunter2@no-such-host.invalid/x".to_owned(), "cannot be reached"),
        // Whoever may log in may not yet create tables.
        (of(&database, CAREFUL, PASSWORD, ""), "grant it CREATE"),
    ] {
        let line = refusal(&url).await;
        assert!(line.contains(words), "{url}: {line}");
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_written_to_is_refused() {
    let database = database().await;
    let name = &database.name;
    let beside = Database { name: "postgres".to_owned(), ..database.clone() };
    beside.run(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    assert!(refusal(&database.url()).await.contains("this server is read-only (a standby?)"));
    let role = format!("nobody_{name}");
    beside.run(&format!("CREATE ROLE {role} LOGIN CONNECTION LIMIT 0")).await;
    assert!(refusal(&of(&database, &role, "x", "")).await.contains("stop what holds its connections"));
    // The owner of a database need not be more than that.
    beside.run(&format!("ALTER DATABASE {name} RESET default_transaction_read_only")).await;
    database
        .run(&format!("ALTER ROLE {role} CONNECTION LIMIT -1; ALTER DATABASE {name} OWNER TO {role}"))
        .await;
    Store::open_postgres(&of(&database, &role, "x", ""), vault()).await.unwrap();
}

#[tokio::test]
async fn of_several_servers_the_one_that_answers_is_taken() {
    let house = House::postgres().await;
    let Database { port, name } = house.database();
    let url = format!("postgres://chappe@127.0.0.1:1,127.0.0.1:{port}/{name}");
    let store = Store::open_postgres(&url, vault()).await.unwrap();
    assert_eq!(store.reader().unwrap().accounts(None).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_database_of_another_kind_or_another_program_is_refused() {
    let other = database().await;
    other.run("CREATE TABLE account (id integer)").await;
    assert!(refusal(&other.url()).await.contains("belongs to another program"));
    let latin = Database { name: "latin".to_owned(), ..other.clone() };
    other.run("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0").await;
    assert!(refusal(&latin.url()).await.contains("ENCODING 'UTF8'"));
    other.run("ALTER DATABASE latin CONNECTION LIMIT 0").await;
}

#[tokio::test]
async fn another_key_and_another_version_are_refused() {
    let house = House::postgres().await;
    let url = house.database().url();
    let other = Vault::new(&MasterKey::from_bytes([8; 32]));
    assert!(matches!(Store::open_postgres(&url, other.clone()).await, Err(StoreError::WrongKey)));
    assert!(matches!(Reader::open(&url, other).await, Err(StoreError::WrongKey)));
    house.database().run("UPDATE meta SET value = '0' WHERE name = 'version'").await;
    let older = Reader::open(&url, vault()).await.err().unwrap().to_string();
    assert!(older.contains("version 0") && older.contains("`chappe migrate`"), "{older}");
    house.database().run("UPDATE meta SET value = '99' WHERE name = 'version'").await;
    assert!(refusal(&url).await.contains("use a newer chappe"));
    assert!(matches!(Reader::open(&url, vault()).await, Err(StoreError::TooNew { found: 99, .. })));
}

#[tokio::test]
async fn nothing_is_read_where_nothing_is() {
    let database = database().await;
    assert!(matches!(Reader::open(&database.url(), vault()).await, Err(StoreError::NotFound(_))));
    assert_eq!(database.number("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").await, 0);
}

#[tokio::test]
async fn opening_again_changes_nothing() {
    let mut house = House::postgres().await;
    let before = house.account("alice").await.balance;
    let mut again = house.place.open().await;
    again.start_serving(START, WINDOW).await.unwrap();
    assert_eq!(again.reader().unwrap().accounts(None).await.unwrap().len(), 4);
    assert_eq!(house.account("alice").await.balance, before);
    house.credit(house.people.alice, 1, None).await.unwrap();
    let reader = Reader::open(&house.database().url(), vault()).await.unwrap();
    assert_eq!(reader.accounts(Some("alice")).await.unwrap()[0].balance.micros(), before.micros() + 1);
}

#[tokio::test]
async fn encryption_is_as_strict_as_the_url_says() {
    let house = House::postgres().await;
    let plain = house.database().url();
    let certificate = cluster().certificate().display().to_string();
    // The test reads what the server's user owns; as an ordinary user both are the same.
    let wrong = tempfile::NamedTempFile::new().unwrap();
    let stranger = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(wrong.path(), stranger.cert.pem()).unwrap();
    let wrong = wrong.path().display().to_string();
    for (options, encrypted) in [
        ("sslmode=disable".to_owned(), false),
        ("sslmode=prefer".to_owned(), true),
        ("sslmode=require".to_owned(), true),
        (format!("sslmode=verify-full&sslrootcert={certificate}"), true),
    ] {
        let name = format!("how{}", options.len());
        let url = format!("{plain}?{options}&application_name={name}");
        let _store =
            Store::open_postgres(&url, vault()).await.unwrap_or_else(|error| panic!("{options}: {error}"));
        let query = format!(
            "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
             WHERE application_name = '{name}' AND ssl"
        );
        assert_eq!(house.database().number(&query).await, i64::from(encrypted), "{options}");
    }
    let strict = refusal(&format!("{plain}?sslmode=verify-full")).await;
    assert!(strict.contains("certificate"), "{strict}");
    let strict = refusal(&format!("{plain}?sslmode=verify-full&sslrootcert={wrong}")).await;
    assert!(strict.contains("certificate"), "{strict}");
}
