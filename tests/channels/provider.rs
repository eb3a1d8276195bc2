//! The client for providers: whether a call that failed may have reached them.

use crate::support::Vacancy;
use axum::http::{Request, Response};
use bytes::Bytes;
use chappe::net::provider::{Failure, Provider};
use futures_util::FutureExt;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn request(url: &str) -> Request<Bytes> {
    Request::post(url).body(Bytes::from_static(b"to=%2B391234567890")).unwrap()
}

async fn call(address: SocketAddr) -> Result<Response<Bytes>, Failure> {
    Provider::new().call(request(&format!("http://{address}/messages"))).await
}

/// Reads one request with the body that `request` has.
async fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"391234567890") {
        let mut buffer = [0; 1024];
        let read = stream.read(&mut buffer).await.unwrap();
        assert!(read > 0, "the request ended early: {bytes:?}");
        bytes.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8(bytes).unwrap()
}

const OK: &[u8] = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\nx-id: 7\r\n\r\nok";

#[tokio::test]
async fn an_answer_comes_whole_and_the_connection_is_used_again() {
    let (listener, address) = listener().await;
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut requests = Vec::new();
        for _ in 0..2 {
            requests.push(read(&mut stream).await);
            stream.write_all(OK).await.unwrap();
        }
        requests
    });
    let provider = Provider::new();
    for _ in 0..2 {
        let answer = provider.call(request(&format!("http://{address}/a/b?c=d"))).await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.body()[..]), (201, &b"ok"[..]));
        assert_eq!(answer.headers()["x-id"], "7");
    }
    let requests = serving.await.unwrap();
    assert!(requests[0].starts_with("POST /a/b?c=d HTTP/1.1\r\n"), "{}", requests[0]);
    assert!(requests[0].contains(&format!("host: {address}\r\n")), "{}", requests[0]);
    assert!(requests[0].contains("content-length: 18\r\n"), "{}", requests[0]);
}

#[tokio::test]
async fn a_connection_that_was_closed_meanwhile_loses_nothing() {
    let (listener, address) = listener().await;
    let serving = tokio::spawn(async move {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().await.unwrap();
            read(&mut stream).await;
            // It does not say that it will close, and does.
            stream.write_all(OK).await.unwrap();
        }
    });
    let provider = Provider::new();
    for _ in 0..2 {
        let answer = provider.call(request(&format!("http://{address}/"))).await.unwrap();
        assert_eq!(answer.status().as_u16(), 201);
        // What the socket does when it is closed takes a moment to arrive, even here.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    serving.await.unwrap();
}

#[tokio::test]
async fn nobody_there_means_that_nothing_was_sent() {
    let vacancy = Vacancy::new();
    let failure = call(vacancy.address()).await.unwrap_err();
    assert!(matches!(&failure, Failure::NotSent(reason) if reason.contains("refused")), "{failure:?}");
}

#[tokio::test]
async fn a_name_that_leads_nowhere_means_that_nothing_was_sent() {
    let failure = Provider::new().call(request("https://provider.invalid/")).await.unwrap_err();
    assert!(matches!(failure, Failure::NotSent(_)), "{failure:?}");
}

#[tokio::test]
async fn who_cannot_speak_tls_was_sent_nothing() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    let failure = Provider::new().call(request(&format!("https://{address}/"))).await.unwrap_err();
    assert!(matches!(failure, Failure::NotSent(_)), "{failure:?}");
}

#[tokio::test]
async fn a_request_that_was_read_and_not_answered_may_have_been_taken() {
    for answer in [
        &b""[..],
        b"HTTP/1.1 20",
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab",
        b"\x00\xff garbage\r\n\r\n",
    ] {
        let (listener, address) = listener().await;
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            read(&mut stream).await;
            stream.write_all(answer).await.unwrap();
        });
        let failure = call(address).await.unwrap_err();
        assert!(matches!(failure, Failure::NoAnswer(_)), "{failure:?} after {answer:?}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_it() {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read(&mut stream).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
    });
    let failure = call(address).await.unwrap_err();
    assert!(matches!(failure, Failure::NoAnswer(_)), "{failure:?}");
}

#[tokio::test]
async fn whoever_takes_too_long_may_have_taken_it() {
    let (listener, address) = listener().await;
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read(&mut stream).await;
        std::future::pending::<()>().await;
    });
    let request = request(&format!("http://{address}/"));
    let failure = Provider::new().call_within(Duration::from_millis(50), request).await.unwrap_err();
    assert!(
        matches!(&failure, Failure::NoAnswer(reason) if reason.contains("no whole answer")),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let (listener, address) = listener().await;
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read(&mut stream).await;
        let answer = format!(
            "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{address}/other\r\ncontent-length: 0\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).await.unwrap();
        // Whoever follows it would do so before there is an answer.
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0, "nothing more is asked for over this connection");
        assert!(listener.accept().now_or_never().is_none(), "nor over another");
    });
    assert_eq!(call(address).await.unwrap().status().as_u16(), 307);
    serving.await.unwrap();
}
