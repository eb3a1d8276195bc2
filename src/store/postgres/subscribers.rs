//! Who can be reached through a channel that serves subscribers alone, and what channels call messages.

use super::rows::{flag, get, request_id, time};
use super::{Reader, StoreError, Writer};
use crate::store::columns::{parsed, seal_phone};
use crate::store::records::SubscriberRow;
use crate::vault::Purpose;
use chappe_core::text::ChannelName;
use chappe_core::{Phone, RequestId};
use tokio_postgres::Client;

impl Writer {
    /// See [`super::super::Store::put_subscriber`].
    pub async fn put_subscriber(&mut self, subscriber: &SubscriberRow) -> Result<(), StoreError> {
        let phone_key = self.vault.phone_key(subscriber.phone);
        let sealed = seal_phone(&self.vault, Purpose::Subscriber, phone_key, subscriber.phone);
        self.work(async |client| put(client, subscriber, phone_key, &sealed).await).await
    }

    /// See [`super::super::Store::remove_subscriber`].
    pub async fn remove_subscriber(
        &mut self,
        channel: &ChannelName,
        chat_id: i64,
    ) -> Result<bool, StoreError> {
        let remove = "DELETE FROM subscriber WHERE channel = $1 AND chat_id = $2";
        Ok(self.execute(remove, &[&channel.as_str(), &chat_id]).await? > 0)
    }

    /// See [`super::super::Store::block_subscriber`].
    pub async fn block_subscriber(
        &mut self,
        channel: &ChannelName,
        chat_id: i64,
    ) -> Result<bool, StoreError> {
        let block = "UPDATE subscriber SET blocked = 1 WHERE channel = $1 AND chat_id = $2 AND blocked = 0";
        Ok(self.execute(block, &[&channel.as_str(), &chat_id]).await? > 0)
    }
}

async fn put(
    client: &mut Client,
    subscriber: &SubscriberRow,
    phone_key: i64,
    sealed: &[u8],
) -> Result<(), StoreError> {
    let transaction = client.transaction().await?;
    // A chat has one number, and a number one chat: whoever subscribes anew takes the place. Of two who do so at once,
    // one waits here for the other.
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
    transaction.execute(lock, &[&format!("subscriber of {}", subscriber.channel)]).await?;
    let channel = subscriber.channel.as_str();
    let make_room = "DELETE FROM subscriber WHERE channel = $1 AND (chat_id = $2 OR phone_key = $3)";
    transaction.execute(make_room, &[&channel, &subscriber.chat_id, &phone_key]).await?;
    let insert = "INSERT INTO subscriber
                      (channel, phone_key, phone_sealed, chat_id, language, blocked, created_at)
                  VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let (blocked, created_at) = (i16::from(subscriber.blocked), subscriber.created_at.micros());
    transaction
        .execute(
            insert,
            &[
                &channel,
                &phone_key,
                &sealed,
                &subscriber.chat_id,
                &subscriber.language,
                &blocked,
                &created_at,
            ],
        )
        .await?;
    Ok(transaction.commit().await?)
}

impl Reader {
    /// See [`super::super::Reader::subscriber`].
    pub async fn subscriber(
        &self,
        channel: &ChannelName,
        phone: Phone,
    ) -> Result<Option<SubscriberRow>, StoreError> {
        let find = "SELECT chat_id, language, blocked, created_at FROM subscriber
                    WHERE channel = $1 AND phone_key = $2";
        let found = self.query(find, &[&channel.as_str(), &self.vault.phone_key(phone)]).await?;
        let row = |row| {
            Ok(SubscriberRow {
                channel: channel.clone(),
                phone,
                chat_id: get(row, 0)?,
                language: get(row, 1)?,
                blocked: flag(row, 2)?,
                created_at: time(row, 3)?,
            })
        };
        found.first().map(row).transpose()
    }

    /// See [`super::super::Reader::message_of`].
    pub async fn message_of(
        &self,
        channel: &ChannelName,
        reference: &str,
    ) -> Result<Option<(RequestId, u8)>, StoreError> {
        let find = "SELECT request_id, hop FROM channel_reference WHERE channel = $1 AND reference = $2";
        // No name that was ever noted holds a NUL, and PostgreSQL would not even be asked for one.
        let found = match reference.contains('\0') {
            true => Vec::new(),
            false => self.query(find, &[&channel.as_str(), &reference]).await?,
        };
        let row = |row| Ok((request_id(row, 0)?, parsed("hop", u8::try_from(get::<i16>(row, 1)?).ok())?));
        found.first().map(row).transpose()
    }
}
