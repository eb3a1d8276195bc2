use chappe::store::Store;
use chappe::vault::{MasterKey, Vault};
use chappe_core::Time;
use std::time::Duration;
#[tokio::test]
async fn it_opens() {
    let database = crate::postgres::database().await;
    let vault = Vault::new(&MasterKey::from_bytes([7; 32]));
    let mut store = Store::open_postgres(&database.url(), vault.clone()).await.unwrap();
    let now = Time::from_secs(1_795_000_000);
    store.start_serving(now, Duration::from_secs(600)).await.unwrap();
    store.create_customer("alice", now).await.unwrap();
    let reader = store.reader().unwrap();
    println!("{:?}", reader.accounts(None).await.unwrap());
    println!("{:?}", reader.audit(|_| ()).await.unwrap());
    store.settle().await.unwrap();
}
