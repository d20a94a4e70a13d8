//! A broker of a test's making: it speaks enough of AMQP 0-9-1 to be sent to, and behaves as badly as it is told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use scouter_transport::conformance::{Arrival, Behaviour};
use scouter_transport::{ContentType, Signal};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

/// How the broker meets who connects.
#[derive(Clone, Debug, Default)]
pub(crate) enum Door {
    /// Lets everybody in.
    #[default]
    Open,
    /// Never says a word.
    Silent,
    /// Says this and closes.
    Foreign(&'static [u8]),
    /// Closes the connection with this code after the login.
    Refused(u16, &'static str),
    /// Closes the connection with this code instead of opening the virtual host.
    NoVhost(u16, &'static str),
}

/// What a broker does with a message beyond what the suite asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It could not be routed: it comes back and is confirmed.
    Return,
    /// The channel is closed with this code and text.
    CloseChannel(u16, &'static str),
    /// The connection is closed with this code and text.
    CloseConnection(u16, &'static str),
}

/// What a test sees and sets.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) door: Door,
    behaviour: Option<Behaviour>,
    pub(crate) verdict: Option<Verdict>,
    /// How the declaration of a queue is refused, by its name and whether it is passive.
    pub(crate) refusals: HashMap<(String, bool), (u16, &'static str)>,
    pub(crate) arrived: Vec<Arrival>,
    pub(crate) connections: usize,
    /// The queues that were declared, and whether only looked for.
    pub(crate) declared: Vec<(String, bool)>,
    pub(crate) logins: Vec<String>,
    /// The delivery mode of every message.
    pub(crate) modes: Vec<u8>,
    /// How many channels a connection may have; 2047 unless set.
    pub(crate) most_channels: Option<u16>,
}

#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) state: Arc<watch::Sender<State>>,
    /// Says something on channel 0 of every connection: a method with its arguments.
    orders: Arc<Mutex<Vec<mpsc::UnboundedSender<Vec<u8>>>>>,
    listening: Mutex<Option<JoinHandle<()>>>,
}

impl Peer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let peer = Self {
            address,
            state: Arc::new(watch::Sender::new(State::default())),
            orders: Arc::default(),
            listening: Mutex::default(),
        };
        peer.listen(listener);
        peer
    }

    fn listen(&self, listener: TcpListener) {
        let (state, orders) = (Arc::clone(&self.state), Arc::clone(&self.orders));
        let task = tokio::spawn(async move {
            // Ends with the task, and its connections with it.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                state.send_modify(|state| state.connections += 1);
                let (say, said) = mpsc::unbounded_channel();
                orders.lock().unwrap().push(say.clone());
                connections.spawn(serve(stream, Arc::clone(&state), say, said));
            }
        });
        *self.listening.lock().unwrap() = Some(task);
    }

    pub(crate) async fn stop(&self) {
        self.orders.lock().unwrap().clear();
        let task = self.listening.lock().unwrap().take();
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
    }

    pub(crate) async fn restart(&self) {
        self.listen(TcpListener::bind(self.address).await.unwrap());
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut State)) {
        self.state.send_modify(change);
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.set(|state| {
            state.behaviour = Some(behaviour);
            state.arrived.clear();
        });
    }

    pub(crate) async fn until(&self, met: impl FnMut(&State) -> bool) {
        let _ = self.state.subscribe().wait_for(met).await;
    }

    /// Tells every connection that the broker is short of memory, or is not any more.
    pub(crate) fn block(&self, blocked: bool) {
        let arguments: &[u8] = if blocked { b"\x0alow memory" } else { b"" };
        let frame = method(0, (10, if blocked { 60 } else { 61 }), arguments);
        self.orders.lock().unwrap().retain(|say| say.send(frame.clone()).is_ok());
    }
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.extend(channel.to_be_bytes());
    bytes.extend(u32::try_from(payload.len()).unwrap().to_be_bytes());
    bytes.extend(payload);
    bytes.push(0xCE);
    bytes
}

fn method(channel: u16, id: (u16, u16), arguments: &[u8]) -> Vec<u8> {
    let mut payload = [id.0.to_be_bytes(), id.1.to_be_bytes()].concat();
    payload.extend(arguments);
    frame(1, channel, &payload)
}

/// A reply code and a text, as closes and returns have them.
fn reply(code: u16, text: &str) -> Vec<u8> {
    let mut bytes = code.to_be_bytes().to_vec();
    bytes.push(u8::try_from(text.len()).unwrap());
    bytes.extend(text.as_bytes());
    bytes
}

fn closing(code: u16, text: &str) -> Vec<u8> {
    let mut bytes = reply(code, text);
    bytes.extend([0; 4]);
    bytes
}

/// The short string in front, and what follows.
fn short(bytes: &[u8]) -> (String, &[u8]) {
    let end = 1 + usize::from(bytes[0]);
    (String::from_utf8(bytes[1..end].to_vec()).unwrap(), &bytes[end..])
}

async fn read_frame(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<(u8, u16, Vec<u8>)> {
    let mut head = [0; 7];
    stream.read_exact(&mut head).await?;
    let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
    let mut payload = vec![0; length as usize + 1];
    stream.read_exact(&mut payload).await?;
    assert_eq!(payload.pop(), Some(0xCE), "the end of a frame");
    Ok((head[0], u16::from_be_bytes([head[1], head[2]]), payload))
}

/// A message that is being received.
#[derive(Debug, Default)]
struct Incoming {
    key: String,
    header: Option<Vec<u8>>,
    length: u64,
    body: Vec<u8>,
}

async fn serve(
    stream: TcpStream,
    state: Arc<watch::Sender<State>>,
    say: mpsc::UnboundedSender<Vec<u8>>,
    mut said: mpsc::UnboundedReceiver<Vec<u8>>,
) {
    let (mut input, mut output) = stream.into_split();
    let door = state.borrow().door.clone();
    let mut header = [0; 8];
    if input.read_exact(&mut header).await.is_err() {
        return;
    }
    assert_eq!(&header, b"AMQP\x00\x00\x09\x01");
    match door {
        Door::Silent => std::future::pending().await,
        Door::Foreign(words) => {
            let _ = output.write_all(words).await;
            return;
        }
        _ => {}
    }
    let mut start = vec![0, 9];
    start.extend([0; 4]);
    start.extend(b"\x00\x00\x00\x0ePLAIN AMQPLAIN\x00\x00\x00\x05en_US");
    let _ = say.send(method(0, (10, 10), &start));
    let speaking = async {
        while let Some(bytes) = said.recv().await {
            if output.write_all(&bytes).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = speaking => {}
        _ = listen(&mut input, &state, &say, &door) => {}
    }
}

async fn listen(
    input: &mut (impl AsyncRead + Unpin),
    state: &Arc<watch::Sender<State>>,
    say: &mpsc::UnboundedSender<Vec<u8>>,
    door: &Door,
) -> std::io::Result<()> {
    let mut incoming: HashMap<u16, Incoming> = HashMap::new();
    let mut tags: HashMap<u16, u64> = HashMap::new();
    loop {
        let (kind, channel, payload) = read_frame(input).await?;
        let answer = |bytes: Vec<u8>| drop(say.send(bytes));
        match kind {
            1 => {
                let id = (u16::from_be_bytes([payload[0], payload[1]]), u16::from_be_bytes([payload[2], payload[3]]));
                let arguments = &payload[4..];
                match id {
                    (10, 11) => {
                        let text = String::from_utf8_lossy(arguments).into_owned();
                        state.send_modify(|state| state.logins.push(text));
                        match door {
                            Door::Refused(code, text) => answer(method(0, (10, 50), &closing(*code, text))),
                            _ => {
                                // Frames of 128 KiB, no heartbeat.
                                let most = state.borrow().most_channels.unwrap_or(2047).to_be_bytes();
                                answer(method(0, (10, 30), &[&most[..], &[0, 2, 0, 0, 0, 0]].concat()));
                            }
                        }
                    }
                    (10, 40) => match door {
                        Door::NoVhost(code, text) => answer(method(0, (10, 50), &closing(*code, text))),
                        _ => answer(method(0, (10, 41), &[0])),
                    },
                    (10, 50) => answer(method(0, (10, 51), &[])),
                    (20, 10) => {
                        tags.insert(channel, 0);
                        answer(method(channel, (20, 11), &[0; 4]));
                    }
                    (20, 40) => answer(method(channel, (20, 41), &[])),
                    (50, 10) => {
                        let (queue, rest) = short(&arguments[2..]);
                        let passive = rest[0] & 1 == 1;
                        assert!(passive || rest[0] == 0b10, "queues are durable");
                        let refusal = state.borrow().refusals.get(&(queue.clone(), passive)).copied();
                        state.send_modify(|state| state.declared.push((queue.clone(), passive)));
                        match refusal {
                            Some((code, text)) => answer(method(channel, (20, 40), &closing(code, text))),
                            None => {
                                let mut declared = vec![u8::try_from(queue.len()).unwrap()];
                                declared.extend(queue.as_bytes());
                                declared.extend([0; 8]);
                                answer(method(channel, (50, 11), &declared));
                            }
                        }
                    }
                    (60, 40) => {
                        let (_, rest) = short(&arguments[2..]);
                        let (key, rest) = short(rest);
                        assert_eq!(rest, [1], "mandatory");
                        incoming.insert(channel, Incoming { key, ..Incoming::default() });
                    }
                    (85, 10) => answer(method(channel, (85, 11), &[])),
                    _ => {}
                }
            }
            2 => {
                let message = incoming.get_mut(&channel).unwrap();
                message.length = u64::from_be_bytes(payload[4..12].try_into().unwrap());
                message.header = Some(payload);
            }
            3 => incoming.get_mut(&channel).unwrap().body.extend(payload),
            _ => {}
        }
        let is_whole = |message: &Incoming| message.header.is_some() && message.body.len() as u64 == message.length;
        if incoming.get(&channel).is_some_and(is_whole) {
            let message = incoming.remove(&channel).unwrap();
            let tag = tags.entry(channel).or_default();
            *tag += 1;
            tokio::spawn(settle(Arc::clone(state), say.clone(), channel, *tag, message));
        }
    }
}

/// Does with a message what the broker is told to do.
async fn settle(
    state: Arc<watch::Sender<State>>,
    say: mpsc::UnboundedSender<Vec<u8>>,
    channel: u16,
    tag: u64,
    message: Incoming,
) {
    let header = message.header.unwrap_or_default();
    // Content type and delivery mode are what is sent, in this order.
    assert_eq!(header[12..14], [0b1001_0000, 0], "the properties");
    let (content, rest) = short(&header[14..]);
    assert_eq!(content, "application/x-protobuf");
    let signal = if message.key.ends_with("logs") { Signal::Logs } else { Signal::Traces };
    let arrival = Arrival { signal, content: ContentType::Protobuf, body: Bytes::from(message.body.clone()) };
    state.send_modify(|state| {
        state.arrived.push(arrival);
        state.modes.push(rest[0]);
    });
    let (behaviour, verdict) = {
        let state = state.borrow();
        (state.behaviour.clone().unwrap_or(Behaviour::Answer(Bytes::new())), state.verdict)
    };
    let mut ack = tag.to_be_bytes().to_vec();
    let bytes = match (verdict, behaviour) {
        (Some(Verdict::Return), _) => {
            let mut returned = reply(312, "NO_ROUTE");
            returned.push(0);
            returned.push(u8::try_from(message.key.len()).unwrap());
            returned.extend(message.key.as_bytes());
            let mut all = method(channel, (60, 50), &returned);
            all.extend(frame(2, channel, &header));
            if !message.body.is_empty() {
                all.extend(frame(3, channel, &message.body));
            }
            ack.push(0);
            all.extend(method(channel, (60, 80), &ack));
            all
        }
        (Some(Verdict::CloseChannel(code, text)), _) => method(channel, (20, 40), &closing(code, text)),
        (Some(Verdict::CloseConnection(code, text)), _) => method(0, (10, 50), &closing(code, text)),
        (None, Behaviour::AnswerFrom(payloads)) => {
            let _ = state.subscribe().wait_for(|state| state.arrived.len() >= payloads).await;
            ack.push(0);
            method(channel, (60, 80), &ack)
        }
        (None, Behaviour::Refuse) => method(channel, (20, 40), &closing(403, "ACCESS_REFUSED - no write access")),
        (None, Behaviour::TooLarge) => method(channel, (20, 40), &closing(311, "CONTENT_TOO_LARGE")),
        (None, Behaviour::Unavailable(_)) => {
            ack.push(0);
            method(channel, (60, 120), &ack)
        }
        (None, Behaviour::Hang) => return,
        (None, _) => {
            ack.push(0);
            method(channel, (60, 80), &ack)
        }
    };
    let _ = say.send(bytes);
}
