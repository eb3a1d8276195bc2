//! Over TLS, which holds back what is not flushed and has its own way to end.
#![allow(missing_docs, clippy::unwrap_used, clippy::panic)]

use chappe_smpp::{Address, Config, Message, State, session};
use futures_util::{SinkExt, StreamExt};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rusmpp::pdus::{BindTransceiverResp, SubmitSmResp};
use rusmpp::tokio_codec::CommandCodec;
use rusmpp::types::COctetString;
use rusmpp::{Command, CommandId, CommandStatus, Pdu};
use std::str::FromStr;
use std::sync::Arc;
use tokio::io::duplex;
use tokio::sync::mpsc;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use tokio_util::codec::Framed;

#[tokio::test(start_paused = true)]
async fn a_session_over_tls_is_like_any_other() {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["smsc.example".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
    let server =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key);
    let acceptor = TlsAcceptor::from(Arc::new(server.unwrap()));
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(client));

    let (dial, mut dialled) = mpsc::unbounded_channel();
    let connect = move || {
        // Much smaller than a record of TLS.
        let (ours, theirs) = duplex(64);
        dial.send(theirs).unwrap();
        connector.connect(ServerName::try_from("smsc.example").unwrap(), ours)
    };
    let (client, _receipts, driver) = session(Config::new("esme", "secret").check().unwrap(), connect, || 0);
    let driver = tokio::spawn(driver.run());
    let pipe = acceptor.accept(dialled.recv().await.unwrap()).await.unwrap();
    let mut smsc = Framed::new(pipe, CommandCodec::new());

    let sending = client.clone();
    let sending = tokio::spawn(async move {
        sending.state().wait_for(|state| *state == State::Bound).await.unwrap();
        let message =
            Message::new(Address::international("+393331234567").unwrap(), "a".repeat(160)).unwrap();
        sending.submit(&message).await
    });
    for (request, response) in [
        (CommandId::BindTransceiver, Pdu::from(BindTransceiverResp::default())),
        (CommandId::SubmitSm, SubmitSmResp::new(COctetString::from_str("id").unwrap(), Vec::new()).into()),
    ] {
        let command = smsc.next().await.unwrap().unwrap();
        assert_eq!(command.id(), request);
        smsc.send(Command::new(CommandStatus::EsmeRok, command.sequence_number(), response)).await.unwrap();
    }
    assert_eq!(sending.await.unwrap().unwrap().ids, ["id"]);

    client.shut_down();
    let unbind = smsc.next().await.unwrap().unwrap();
    assert_eq!(unbind.id(), CommandId::Unbind);
    smsc.send(Command::new(CommandStatus::EsmeRok, unbind.sequence_number(), Pdu::UnbindResp)).await.unwrap();
    // Closed as TLS wants it, not cut off: that would be an error here.
    assert!(smsc.next().await.is_none());
    driver.await.unwrap();
}
