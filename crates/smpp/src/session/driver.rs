//! The life of a session: connect, bind, serve, wait, and again.

use super::link::{End, Ends, Link};
use super::pace::Pace;
use super::{Client, DownReason, Job, ReceiptDelivery, Receipts, State};
use crate::config::{CheckedConfig, Config};
use crate::error::{NotSent, SubmitError};
use crate::pdu::Reader;
use crate::status::CommandStatus;
use rusmpp::pdus::BindTransceiver;
use rusmpp::tokio_codec::CommandCodec;
use rusmpp::{Command, CommandId};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::bytes::BytesMut;
use tokio_util::codec::{Encoder, FramedRead};

/// Makes a session. Nothing happens until [`Driver::run`] is polled.
///
/// `connect` dials: it is called for each connection and gives a stream over whatever it likes. `random` gives evenly
/// spread numbers; the pauses between attempts are drawn from them, so that sessions that were cut off together do not
/// come back together.
pub fn session<C, F, S>(
    config: CheckedConfig,
    connect: C,
    mut random: impl FnMut() -> u64 + Send + 'static,
) -> (Client, Receipts, Driver<C>)
where
    C: FnMut() -> F + Send,
    F: Future<Output = io::Result<S>> + Send,
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let CheckedConfig { config, bind } = config;
    let (jobs, queue) = mpsc::channel(config.queue);
    let (receipts_in, receipts_out) = mpsc::channel(config.receipts);
    let (state_in, state_out) = watch::channel(State::Connecting);
    let (stop_in, stop_out) = watch::channel(false);
    let client = Client {
        queue: jobs,
        queue_timeout: config.queue_timeout,
        septets: config.septets,
        state: state_out,
        stop: Arc::new(stop_in),
        // Not always the same: a handset may still hold parts of what was sent before a restart.
        reference: Arc::new(AtomicU8::new(random() as u8)),
    };
    let shared = Shared {
        pace: Pace::new(config.per_second, Instant::now()),
        config,
        queue,
        stop: stop_out,
        receipts: receipts_in,
        state: state_in,
    };
    let driver = Driver { shared, bind, connect, random: Box::new(random), failures: 0 };
    (client, Receipts(receipts_out), driver)
}

/// What does the work of a session. Its caller runs it, usually as a task of its own.
pub struct Driver<C> {
    shared: Shared,
    bind: BindTransceiver,
    connect: C,
    random: Box<dyn FnMut() -> u64 + Send>,
    /// Attempts since a connection last held.
    failures: u32,
}

/// What outlives a connection.
pub(super) struct Shared {
    pub(super) config: Config,
    pub(super) queue: mpsc::Receiver<Job>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) receipts: mpsc::Sender<ReceiptDelivery>,
    pub(super) state: watch::Sender<State>,
    pub(super) pace: Pace,
}

impl<C, F, S> Driver<C>
where
    C: FnMut() -> F + Send,
    F: Future<Output = io::Result<S>> + Send,
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    /// Keeps the session up until it is shut down, or every [`Client`] is gone. Dropping the future ends the session
    /// at once: what was in flight is then uncertain.
    pub async fn run(mut self) {
        loop {
            self.shared.state.send_replace(State::Connecting);
            let reason = match self.connection().await {
                End::Stopped => break,
                End::Down(reason) => reason,
            };
            let retry_at = Instant::now() + self.pause_after(&reason);
            tracing::warn!(%reason, "SMPP session down");
            self.shared.state.send_replace(State::Down { reason, retry_at });
            if self.shared.refusing(sleep_until(retry_at)).await.is_none() {
                break;
            }
        }
        self.shared.refuse_all();
        self.shared.state.send_replace(State::Closed);
    }

    /// One connection, from dialling to its end.
    async fn connection(&mut self) -> End {
        let within = self.shared.config.connect_timeout;
        let dialling = timeout(within, (self.connect)());
        let stream = match self.shared.refusing(dialling).await {
            None => return End::Stopped,
            Some(Ok(Ok(stream))) => stream,
            Some(Ok(Err(error))) => return End::Down(DownReason::Connect(error.to_string())),
            Some(Err(_)) => return End::Down(DownReason::Connect("it took too long".to_owned())),
        };
        let (reader, mut writer) = split(stream);
        let mut reader = FramedRead::new(reader, Reader);
        let binding = timeout(within, bind(&mut reader, &mut writer, &self.bind));
        match self.shared.refusing(binding).await {
            None => return End::Stopped,
            Some(Ok(Ok(()))) => {}
            Some(Ok(Err(reason))) => return End::Down(reason),
            Some(Err(_)) => return End::Down(DownReason::Silent),
        }
        tracing::info!("SMPP session bound");
        self.shared.state.send_replace(State::Bound);
        let since = Instant::now();
        let end = Link::new(&mut self.shared, Ends { reader, writer }).run().await;
        if since.elapsed() >= self.shared.config.reconnect_max {
            self.failures = 0;
        }
        end
    }

    /// How long to wait: twice as long after each failure, and somewhere in the upper half of that.
    fn pause_after(&mut self, reason: &DownReason) -> Duration {
        let config = &self.shared.config;
        let longest = match reason {
            DownReason::Credentials(_) => config.credentials_retry,
            _ => {
                let doubled = config.reconnect_min.saturating_mul(1_u32 << self.failures.min(30));
                doubled.min(config.reconnect_max)
            }
        };
        self.failures = self.failures.saturating_add(1);
        let half = u64::try_from(longest.as_millis() / 2).unwrap_or(u64::MAX - 1);
        longest - Duration::from_millis((self.random)() % (half + 1))
    }
}

impl Shared {
    /// Waits for something while there is no connection: whatever is submitted is told so. `None` if the session is to
    /// end instead.
    async fn refusing<T>(&mut self, what: impl Future<Output = T>) -> Option<T> {
        let mut what = std::pin::pin!(what);
        loop {
            tokio::select! {
                biased;
                _ = self.stop.wait_for(|stop| *stop) => return None,
                done = &mut what => return Some(done),
                Some(job) = self.queue.recv() => drop(job),
            }
        }
    }

    /// Takes nothing more, and says so to all who wait.
    pub(super) fn refuse_all(&mut self) {
        self.queue.close();
        while let Ok(job) = self.queue.try_recv() {
            job.reply.send(Err(SubmitError::NotSent(NotSent::ShuttingDown)));
        }
    }
}

/// Binds as a transceiver.
async fn bind<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    reader: &mut FramedRead<R, Reader>,
    writer: &mut W,
    bind: &BindTransceiver,
) -> Result<(), DownReason> {
    let mut octets = BytesMut::new();
    let command = Command::new(CommandStatus::ROK.0.into(), 1, bind.clone());
    // Its only errors are those of a writer, and memory is none.
    let _ = CommandCodec::new().encode(command, &mut octets);
    let written = async {
        writer.write_all(&octets).await?;
        writer.flush().await
    };
    written.await.map_err(|error| DownReason::Lost(error.to_string()))?;
    loop {
        let pdu = super::link::next(reader).await?;
        match pdu.id {
            CommandId::BindTransceiverResp if pdu.status == CommandStatus::ROK => return Ok(()),
            CommandId::BindTransceiverResp | CommandId::GenericNack => {
                let is_ours = pdu.status.blames_credentials();
                return Err(if is_ours {
                    DownReason::Credentials(pdu.status)
                } else {
                    DownReason::Bind(pdu.status)
                });
            }
            CommandId::Unbind => return Err(DownReason::Unbound),
            // Nothing else makes sense before the answer.
            _ => {}
        }
    }
}
