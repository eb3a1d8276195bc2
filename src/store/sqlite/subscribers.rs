//! Who can be reached through a channel that serves subscribers alone, and what channels call messages.

use super::{Reader, StoreError, Writer};
use crate::store::columns::{damaged, parsed, seal_phone};
use crate::store::records::SubscriberRow;
use crate::vault::Purpose;
use chappe_core::text::ChannelName;
use chappe_core::{Phone, RequestId};
use rusqlite::{OptionalExtension, params};

impl Writer {
    /// See [`super::super::Store::put_subscriber`].
    pub fn put_subscriber(&mut self, subscriber: &SubscriberRow) -> Result<(), StoreError> {
        let phone_key = self.vault.phone_key(subscriber.phone);
        let phone_sealed = seal_phone(&self.vault, Purpose::Subscriber, phone_key, subscriber.phone);
        self.write(|connection| {
            // A chat has one number, and a number one chat: whoever subscribes anew takes the place.
            connection.execute(
                "DELETE FROM subscriber WHERE channel = ?1 AND chat_id = ?2",
                params![subscriber.channel.as_str(), subscriber.chat_id],
            )?;
            connection.execute(
                "INSERT OR REPLACE INTO subscriber
                     (channel, phone_key, phone_sealed, chat_id, language, blocked, created_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    subscriber.channel.as_str(),
                    phone_key,
                    phone_sealed,
                    subscriber.chat_id,
                    subscriber.language,
                    subscriber.blocked,
                    subscriber.created_at.micros(),
                ],
            )?;
            Ok(())
        })
    }

    /// See [`super::super::Store::remove_subscriber`].
    pub fn remove_subscriber(&mut self, channel: &ChannelName, chat_id: i64) -> Result<bool, StoreError> {
        let remove = "DELETE FROM subscriber WHERE channel = ?1 AND chat_id = ?2";
        Ok(self.connection.execute(remove, params![channel.as_str(), chat_id])? > 0)
    }

    /// See [`super::super::Store::block_subscriber`].
    pub fn block_subscriber(&mut self, channel: &ChannelName, chat_id: i64) -> Result<bool, StoreError> {
        let block = "UPDATE subscriber SET blocked = 1 WHERE channel = ?1 AND chat_id = ?2 AND blocked = 0";
        Ok(self.connection.execute(block, params![channel.as_str(), chat_id])? > 0)
    }
}

impl Reader {
    /// See [`super::super::Reader::subscriber`].
    pub fn subscriber(
        &self,
        channel: &ChannelName,
        phone: Phone,
    ) -> Result<Option<SubscriberRow>, StoreError> {
        let find = "SELECT chat_id, language, blocked, created_at FROM subscriber
                    WHERE channel = ?1 AND phone_key = ?2";
        let row = |row: &rusqlite::Row<'_>| {
            Ok(SubscriberRow {
                channel: channel.clone(),
                phone,
                chat_id: row.get(0)?,
                language: row.get(1)?,
                blocked: row.get(2)?,
                created_at: chappe_core::Time::from_micros(row.get(3)?),
            })
        };
        let key = params![channel.as_str(), self.vault.phone_key(phone)];
        let found = self.connection().prepare_cached(find)?.query_row(key, row).optional()?;
        Ok(found)
    }

    /// See [`super::super::Reader::message_of`].
    pub fn message_of(
        &self,
        channel: &ChannelName,
        reference: &str,
    ) -> Result<Option<(RequestId, u8)>, StoreError> {
        let find = "SELECT request_id, hop FROM channel_reference WHERE channel = ?1 AND reference = ?2";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, u8>(1)?));
        let key = params![channel.as_str(), reference];
        let found =
            self.connection().prepare_cached(find)?.query_row(key, row).optional().map_err(damaged)?;
        found.map(|(id, hop)| Ok((parsed("request id", RequestId::from_number(id))?, hop))).transpose()
    }
}
