//! HTTP against a receiver that does everything wrong.

use std::time::Duration;

use scouter_transport::http::{Http, HttpConfig};
use scouter_transport::{Compression, Endpoint, Error, ErrorKind, Payload, Receipt, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the receiver does with one connection.
#[derive(Clone, Debug)]
enum Act {
    /// Resets it before reading.
    ResetAtOnce,
    /// Resets it once the request is read.
    Reset,
    /// Closes it once the request is read.
    Close,
    /// Says this once the request is read, then closes.
    Say(Vec<u8>),
    /// Says this once the request is read, then nothing more.
    SayAndHang(Vec<u8>),
    /// Says this byte by byte.
    Drip(Vec<u8>),
    /// Says this once the request has begun, then reads on.
    SayEarly(Vec<u8>),
}

fn say(text: &str) -> Act {
    Act::Say(text.as_bytes().to_vec())
}

const FINE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfine";

async fn receiver(acts: Vec<Act>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        for act in acts {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(play(stream, act));
        }
    });
    url
}

async fn play(mut stream: TcpStream, act: Act) {
    let reset = |stream: &TcpStream| stream.set_zero_linger().unwrap();
    match act {
        Act::ResetAtOnce => reset(&stream),
        Act::Reset => {
            read_request(&mut stream).await;
            reset(&stream);
        }
        Act::Close => read_request(&mut stream).await,
        Act::Say(words) => {
            read_request(&mut stream).await;
            let _ = stream.write_all(&words).await;
        }
        Act::SayAndHang(words) => {
            read_request(&mut stream).await;
            let _ = stream.write_all(&words).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
        Act::Drip(words) => {
            stream.set_nodelay(true).unwrap();
            read_request(&mut stream).await;
            for byte in words {
                let _ = stream.write_all(&[byte]).await;
                tokio::task::yield_now().await;
            }
        }
        Act::SayEarly(words) => {
            stream.read_exact(&mut [0; 1000]).await.unwrap();
            let _ = stream.write_all(&words).await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    }
}

/// Reads to the end of the body that `content-length` announces.
async fn read_request(stream: &mut TcpStream) {
    let mut read = Vec::new();
    loop {
        if stream.read_buf(&mut read).await.unwrap() == 0 {
            return;
        }
        let text = String::from_utf8_lossy(&read).to_ascii_lowercase();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
            return;
        }
    }
}

fn transport(url: &str) -> Http {
    Http::new(HttpConfig::new(Endpoint::from_user(url).unwrap())).unwrap()
}

async fn outcome(act: Act) -> Result<Receipt, Error> {
    transport(&receiver(vec![act]).await).send(Payload::traces("spans", 1)).await
}

#[tokio::test]
async fn broken_connections_are_retryable_and_nonsense_is_not() {
    for (act, kind) in [
        (Act::ResetAtOnce, ErrorKind::Dropped),
        (Act::Reset, ErrorKind::Dropped),
        (Act::Close, ErrorKind::Dropped),
        (say("HTTP/1.1 200 O"), ErrorKind::Dropped),
        (say("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"), ErrorKind::Dropped),
        (say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"), ErrorKind::Dropped),
        (say("\x16\x03\x01 I am not HTTP\r\n\r\n"), ErrorKind::BadResponse),
        (say("HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n"), ErrorKind::BadResponse),
        (say("HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 1\r\n\r\nx"), ErrorKind::BadResponse),
        (say("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 1\r\n\r\nx"), ErrorKind::BadResponse),
    ] {
        let error = outcome(act.clone()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{act:?}: {error}");
        assert_eq!(error.is_retryable(), kind == ErrorKind::Dropped, "{act:?}: {error}");
    }
}

#[tokio::test]
async fn statuses_become_kinds() {
    use ErrorKind::{Refused, Throttled, TooLarge, Unavailable};
    for (head, kind, delay) in [
        ("429 Slow\r\nretry-after: 7", Throttled, Some(7)),
        (
            "429 Slow\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nretry-after: Sun, 06 Nov 1994 08:49:57 GMT",
            Throttled,
            Some(20),
        ),
        ("429 Slow\r\nretry-after: soon", Throttled, None),
        ("503 Busy\r\nretry-after: 0", Unavailable, Some(0)),
        ("502 Gateway", Unavailable, None),
        ("504 Late", Unavailable, None),
        ("413 Large", TooLarge, None),
        ("400 Bad", Refused, None),
        ("401 Who", Refused, None),
        ("408 Slow", Refused, None),
        ("500 Broken", Refused, None),
        ("501 What", Refused, None),
    ] {
        let error = outcome(say(&format!("HTTP/1.1 {head}\r\ncontent-length: 6\r\n\r\nreason"))).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{head}");
        assert_eq!(error.retry_after(), delay.map(Duration::from_secs), "{head}");
        assert_eq!(error.status().unwrap().to_string(), format!("HTTP status {}", &head[..3]));
        assert!(error.to_string().ends_with(": reason"), "{error}");
    }
}

#[tokio::test]
async fn an_oversize_answer_is_refused_without_harm() {
    let mut announced = b"HTTP/1.1 200 OK\r\ncontent-length: 4194305\r\n\r\n".to_vec();
    announced.resize(announced.len() + 4_194_305, b'x');
    let mut chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..80 {
        chunked.extend(b"10000\r\n");
        chunked.resize(chunked.len() + 0x10000, b'x');
        chunked.extend(b"\r\n");
    }
    let bomb = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, &vec![0; 64 * 1024 * 1024]).unwrap();
        let packed = encoder.finish().unwrap();
        let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len());
        [head.into_bytes(), packed].concat()
    };
    for answer in [announced, chunked, bomb] {
        let transport = transport(&receiver(vec![Act::Say(answer), say(FINE)]).await);
        let error = transport.send(Payload::traces("spans", 1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::BadResponse, "{error}");
        assert!(error.to_string().ends_with("the answer is longer than 4 MiB"), "{error}");
        // The bomb's connection was read to its end and closed by the receiver; the send may meet it once.
        let receipt = match transport.send(Payload::traces("spans", 1)).await {
            Err(error) if error.kind() == ErrorKind::Dropped => transport.send(Payload::traces("spans", 1)).await,
            outcome => outcome,
        };
        assert_eq!(receipt.unwrap().body, "fine");
    }
}

#[tokio::test]
async fn the_largest_answer_passes() {
    let mut answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4194304\r\n\r\n".to_vec();
    answer.resize(answer.len() + 4_194_304, b'x');
    assert_eq!(outcome(Act::Say(answer)).await.unwrap().body.len(), 4_194_304);
}

#[tokio::test]
async fn slow_answers_pass_within_the_timeout_only() {
    assert_eq!(outcome(Act::Drip(FINE.into())).await.unwrap().body, "fine");
    for half in ["", "HTTP/1.1 20", "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nfi"] {
        let url = receiver(vec![Act::SayAndHang(half.into()), say(FINE)]).await;
        let config = HttpConfig::new(Endpoint::from_user(&url).unwrap()).timeout(Duration::from_secs(1));
        let transport = Http::new(config).unwrap();
        let error = transport.send(Payload::traces("spans", 1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{half}: {error}");
        assert_eq!(transport.send(Payload::traces("spans", 1)).await.unwrap().body, "fine");
    }
}

#[tokio::test]
async fn a_refusal_counts_even_if_its_reason_never_comes() {
    let error = outcome(Act::SayAndHang(b"HTTP/1.1 400 No\r\ncontent-length: 9\r\n\r\nbec".into())).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Refused);
    assert!(error.to_string().ends_with("HTTP status 400"), "{error}");
}

#[tokio::test]
async fn an_early_refusal_of_a_large_payload_is_heard() {
    let url =
        receiver(vec![Act::SayEarly(b"HTTP/1.1 413 Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".into())])
            .await;
    let error = transport(&url).send(Payload::traces(vec![b'x'; 16 * 1024 * 1024], 1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
}

#[tokio::test]
async fn answers_in_gzip_are_read() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, b"fine").unwrap();
    let packed = encoder.finish().unwrap();
    let head = format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n", packed.len());
    assert_eq!(outcome(Act::Say([head.into_bytes(), packed].concat())).await.unwrap().body, "fine");
}

#[tokio::test]
async fn a_connection_closed_while_idle_costs_nothing_but_a_new_one() {
    // Every answer promises keep-alive, every connection is closed after one.
    let transport = transport(&receiver(vec![say(FINE); 20]).await);
    let mut served = 0;
    for _ in 0..20 {
        match transport.send(Payload::traces("spans", 1)).await {
            Ok(_) => served += 1,
            Err(error) => assert!(error.is_retryable(), "{error}"),
        }
    }
    assert!(served >= 10, "{served} of 20");
}

#[tokio::test]
async fn compressed_payloads_may_be_empty() {
    let url = receiver(vec![say(FINE)]).await;
    let config = HttpConfig::new(Endpoint::from_user(&url).unwrap()).compression(Compression::Gzip);
    assert_eq!(Http::new(config).unwrap().send(Payload::traces("", 0)).await.unwrap().body, "fine");
}
