//! One batch: tried until it is done, or until it is known that it will not be.

use super::connect::Session;
use super::error::{Nature, nature};
use super::load::{self, Loaded, Stored};
use super::save::{self, Saved};
use super::{ROUND_TRIP_MAX, StoreError, Writer, late};
use chappe_core::{Book, Keys, News};
use futures_util::FutureExt;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// How often a batch is begun anew when other servers were in its way.
const ATTEMPTS_MAX: u32 = 10;

/// Why an attempt at a batch came to nothing.
enum Setback {
    /// Nothing was done, and the same may succeed in a moment.
    Again(StoreError),
    /// It will not succeed by trying, or must not be tried.
    Final(StoreError),
}

impl Writer {
    /// See [`super::super::Store::transact`].
    pub async fn transact<R>(
        &mut self,
        keys: &Keys,
        mut decide: impl FnMut(&mut Book) -> R,
    ) -> Result<(R, News), StoreError> {
        let deadline = self.deadline();
        let mut attempts = 0;
        loop {
            let error = match self.attempt(keys, &mut decide, deadline).await {
                Ok((result, book)) => {
                    self.away = false;
                    let (news, _) = book.close();
                    return Ok((result, news));
                }
                Err(Setback::Final(error)) => {
                    self.away = error.is_away();
                    return Err(error);
                }
                Err(Setback::Again(error)) => error,
            };
            attempts += 1;
            if attempts == ATTEMPTS_MAX || Instant::now() >= deadline {
                tracing::warn!(attempts, %error, "a batch did not get through");
                return Err(error);
            }
            tracing::debug!(attempts, %error, "a batch is begun anew");
            // Servers that met once shall not meet again: each pauses in its own rhythm.
            let pause_ms = attempts * (2 + u32::from(self.lane()));
            sleep(Duration::from_millis(pause_ms.into())).await;
        }
    }

    async fn attempt<R>(
        &mut self,
        keys: &Keys,
        decide: &mut impl FnMut(&mut Book) -> R,
        deadline: Instant,
    ) -> Result<(R, Book), Setback> {
        let (session, loaded) = self.begin(keys, deadline).await?;
        let Loaded { mut book, stored, holder } = loaded;
        if let Some(lane) = self.lane.as_ref().filter(|lane| holder.as_ref() != Some(&lane.holder)) {
            let lost = StoreError::LaneLost(lane.number);
            self.roll_back(session).await;
            return Err(Setback::Final(lost));
        }
        let result = decide(&mut book);
        if book.is_changed() {
            self.finish(session, &stored, &book, deadline).await?;
        } else {
            self.roll_back_behind(session);
        }
        Ok((result, book))
    }

    /// The first round trip. Nothing is written in it, so if it fails, nothing has to be found out.
    async fn begin(&mut self, keys: &Keys, deadline: Instant) -> Result<(Session, Loaded), Setback> {
        let mut session = self.connected_by(deadline).await.map_err(Setback::Final)?;
        let lane = self.lane.as_ref().map(|lane| lane.number);
        let load = async {
            session.prepare().await.map_err(load::Failed::Database)?;
            let statements = session.statements().map_err(load::Failed::Store)?;
            load::load(&session.client, &statements.load, &self.vault, lane, keys).await
        };
        match timeout(ROUND_TRIP_MAX, load).await {
            Ok(Ok(loaded)) => Ok((session, loaded)),
            Ok(Err(load::Failed::Database(error))) if nature(&error) == Nature::Lost => {
                self.lose(session);
                Err(Setback::Again(error.into()))
            }
            Ok(Err(load::Failed::Database(error))) => {
                self.roll_back(session).await;
                Err(setback(error))
            }
            Ok(Err(load::Failed::Store(error))) => {
                self.roll_back(session).await;
                Err(Setback::Final(error))
            }
            Err(_) => {
                self.lose(session);
                Err(Setback::Again(late()))
            }
        }
    }

    /// The second round trip: writes and commits.
    async fn finish(
        &mut self,
        session: Session,
        stored: &Stored,
        book: &Book,
        deadline: Instant,
    ) -> Result<(), Setback> {
        let mark = self.lane.as_ref().map(|lane| (lane.number, lane.mark + 1));
        let statements = session.statements().map_err(Setback::Final)?;
        let save = save::save(&session.client, &statements.save, &self.vault, stored, book, mark);
        let refused = match timeout(ROUND_TRIP_MAX, save).await {
            Ok(Saved { failed: None, ended: Ok(()) }) => {
                if let (Some(lane), Some((_, mark))) = (&mut self.lane, mark) {
                    lane.mark = mark;
                }
                self.session = Some(session);
                return Ok(());
            }
            // The server makes a rollback of the commit of a transaction in which a statement has failed.
            Ok(Saved { failed: Some(error), ended }) if nature(&error) != Nature::Lost => {
                match ended {
                    Ok(()) => self.session = Some(session),
                    Err(_) => self.lose(session),
                }
                error
            }
            // The server says itself that there was no commit.
            Ok(Saved { failed: None, ended: Err(error) })
                if matches!(nature(&error), Nature::Statement | Nature::InTheWay) =>
            {
                self.session = Some(session);
                error
            }
            Ok(_) | Err(_) => {
                self.lose(session);
                return self.find_out(mark, deadline).await;
            }
        };
        Err(setback(refused))
    }

    /// Whether the batch with this mark was committed, its connection being lost.
    async fn find_out(&mut self, mark: Option<(u8, i64)>, deadline: Instant) -> Result<(), Setback> {
        let Some((_, mark)) = mark else { return Err(Setback::Final(StoreError::InDoubt)) };
        tracing::warn!("the connection was lost at a commit; looking whether it took place");
        self.doubt = Some(mark);
        // Connecting finds it out.
        let error = match self.connected_by(deadline).await {
            Ok(session) => {
                self.session = Some(session);
                let committed = self.lane.as_ref().is_some_and(|lane| lane.mark == mark);
                let lost = || Setback::Again(StoreError::Unreachable("the connection was lost".to_owned()));
                return if committed { Ok(()) } else { Err(lost()) };
            }
            Err(error) => error,
        };
        tracing::error!(%error, "it cannot be found out whether a batch was committed");
        Err(Setback::Final(if error.is_fatal() { error } else { StoreError::InDoubt }))
    }

    /// Ends a transaction in which nothing was written, and waits for nothing: its answer is known, and the next batch
    /// comes behind this on the same connection. If it does not get through, that one finds the connection lost.
    fn roll_back_behind(&mut self, session: Session) {
        // To be polled once is to be sent.
        match session.client.batch_execute("ROLLBACK").now_or_never() {
            None | Some(Ok(())) => self.session = Some(session),
            Some(Err(_)) => self.lose(session),
        }
    }

    /// Ends a transaction in which something failed.
    async fn roll_back(&mut self, session: Session) {
        match timeout(ROUND_TRIP_MAX, session.client.batch_execute("ROLLBACK")).await {
            Ok(Ok(())) => self.session = Some(session),
            Ok(Err(_)) | Err(_) => self.lose(session),
        }
    }
}

fn setback(error: tokio_postgres::Error) -> Setback {
    match nature(&error) {
        Nature::InTheWay | Nature::Lost => Setback::Again(error.into()),
        Nature::Statement | Nature::Local => Setback::Final(error.into()),
    }
}
