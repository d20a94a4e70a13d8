//! One broker with one partition of every topic, which behaves as it is told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::{Buf, BufMut, Bytes};
use scouter_transport::conformance::{Arrival, Behaviour};
use scouter_transport::{ContentType, Signal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::wire::{bytes, put_string, records, string};

pub(crate) const USERNAME: &str = "scouter";
pub(crate) const PASSWORD: &str = "do-not-tell";

/// Error codes of the protocol.
const NONE: i16 = 0;
const MESSAGE_TOO_LARGE: i16 = 10;
const NOT_ENOUGH_REPLICAS: i16 = 19;
const TOPIC_AUTHORIZATION_FAILED: i16 = 29;
const UNSUPPORTED_VERSION: i16 = 35;
const SASL_AUTHENTICATION_FAILED: i16 = 58;

/// Requests by their numbers, each in the newest version that is spoken here.
const PRODUCE: i16 = 0;
const METADATA: i16 = 3;
const SASL_HANDSHAKE: i16 = 17;
const API_VERSIONS: i16 = 18;
const INIT_PRODUCER_ID: i16 = 22;
const SASL_AUTHENTICATE: i16 = 36;
/// Fetch is never asked for, but who does not speak it is taken for an old broker.
const SPOKEN: [(i16, i16); 7] = [
    (PRODUCE, 3),
    (1, 4),
    (METADATA, 1),
    (SASL_HANDSHAKE, 1),
    (API_VERSIONS, 0),
    (INIT_PRODUCER_ID, 0),
    (SASL_AUTHENTICATE, 0),
];

#[derive(Debug)]
pub(crate) struct Broker {
    address: SocketAddr,
    shared: Arc<Shared>,
    serving: Mutex<Option<JoinSet<()>>>,
}

#[derive(Debug)]
struct Shared {
    state: watch::Sender<State>,
}

#[derive(Debug)]
struct State {
    behaviour: Behaviour,
    messages: Vec<Message>,
    /// How many produce requests are taken before one is not; then all are.
    take_only: Option<usize>,
    /// How many are refused then.
    refuse: usize,
    producers: i64,
}

/// A message that came.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) arrival: Arrival,
    pub(crate) key: Option<String>,
    /// Whether it was acknowledged.
    pub(crate) taken: bool,
}

impl Broker {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let behaviour = Behaviour::Answer(Bytes::new());
        let state = State { behaviour, messages: Vec::new(), take_only: None, refuse: 0, producers: 0 };
        let shared = Arc::new(Shared { state: watch::Sender::new(state) });
        let serving = Mutex::new(Some(serve(listener, &shared)));
        Self { address, shared, serving }
    }

    pub(crate) fn address(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn told(&self, behaviour: Behaviour) {
        self.shared.state.send_modify(|state| {
            state.behaviour = behaviour;
            state.messages.clear();
        });
    }

    /// Takes so many produce requests, then refuses two for now, then takes all.
    pub(crate) fn take_only(&self, requests: usize) {
        self.shared.state.send_modify(|state| (state.take_only, state.refuse) = (Some(requests), 2));
    }

    pub(crate) fn messages(&self) -> Vec<Message> {
        self.shared.state.borrow().messages.clone()
    }

    pub(crate) async fn until(&self, messages: usize) {
        let _ = self.shared.state.subscribe().wait_for(|state| state.messages.len() >= messages).await;
    }

    pub(crate) async fn go_away(&self) {
        let serving = self.serving.lock().unwrap().take();
        serving.unwrap().shutdown().await;
    }

    pub(crate) async fn come_back(&self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        *self.serving.lock().unwrap() = Some(serve(listener, &self.shared));
    }
}

fn serve(listener: TcpListener, shared: &Arc<Shared>) -> JoinSet<()> {
    let mut serving = JoinSet::new();
    let shared = Arc::clone(shared);
    serving.spawn(async move {
        let mut connections = JoinSet::new();
        let port = listener.local_addr().unwrap().port();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            connections.spawn(converse(stream, Arc::clone(&shared), port));
        }
    });
    serving
}

/// One connection: requests are read as they come, and answered in their order, each when it is to be.
async fn converse(stream: TcpStream, shared: Arc<Shared>, port: u16) {
    let (mut reader, mut writer) = stream.into_split();
    let (say, mut said) = mpsc::unbounded_channel::<(Vec<u8>, Option<Written>)>();
    let mut answers = JoinSet::new();
    answers.spawn(async move {
        while let Some((out, written)) = said.recv().await {
            if let Some(mut written) = written {
                written.ready().await;
            }
            if answer(&mut writer, &out).await.is_err() {
                return;
            }
        }
    });
    while let Ok(length) = reader.read_i32().await {
        let mut request = vec![0; length as usize];
        if reader.read_exact(&mut request).await.is_err() {
            return;
        }
        let request = &mut &request[..];
        let (api, version, correlation) = (request.get_i16(), request.get_i16(), request.get_i32());
        let _client = string(request);
        let mut out = Vec::new();
        out.put_i32(correlation);
        let mut written = None;
        match api {
            API_VERSIONS => api_versions(version, &mut out),
            SASL_HANDSHAKE => {
                out.put_i16(NONE);
                out.put_i32(1);
                put_string(&mut out, "PLAIN");
            }
            SASL_AUTHENTICATE => authenticate(&bytes(request), &mut out),
            METADATA => metadata(request, port, &mut out),
            INIT_PRODUCER_ID => init_producer_id(&shared, &mut out),
            PRODUCE => written = Some(shared.produce(request, &mut out)),
            _ => return,
        }
        if say.send((out, written)).is_err() {
            return;
        }
    }
}

async fn answer(writer: &mut OwnedWriteHalf, out: &[u8]) -> std::io::Result<()> {
    writer.write_all(&[&(out.len() as i32).to_be_bytes(), out].concat()).await
}

fn api_versions(version: i16, out: &mut Vec<u8>) {
    // A version that is not spoken is answered in the oldest form, and asked again in it.
    out.put_i16(if version == 0 { NONE } else { UNSUPPORTED_VERSION });
    out.put_i32(SPOKEN.len() as i32);
    for (api, version) in SPOKEN {
        out.put_i16(api);
        out.put_i16(if api == PRODUCE || api == 1 { version } else { 0 });
        out.put_i16(version);
    }
}

fn authenticate(token: &[u8], out: &mut Vec<u8>) {
    let right = token == format!("\0{USERNAME}\0{PASSWORD}").as_bytes();
    out.put_i16(if right { NONE } else { SASL_AUTHENTICATION_FAILED });
    put_string(out, if right { "" } else { "Authentication failed: Invalid username or password" });
    out.put_i32(0);
}

fn metadata(request: &mut &[u8], port: u16, out: &mut Vec<u8>) {
    let topics: Vec<String> = (0..request.get_i32()).map(|_| string(request)).collect();
    out.put_i32(1);
    out.put_i32(1);
    put_string(out, "127.0.0.1");
    out.put_i32(port.into());
    out.put_i16(-1);
    out.put_i32(1);
    out.put_i32(topics.len() as i32);
    for topic in topics {
        out.put_i16(NONE);
        put_string(out, &topic);
        out.put_u8(0);
        // Its only partition: number, leader, replicas, those in sync.
        out.put_i32(1);
        out.put_i16(NONE);
        for number in [0, 1, 1, 1, 1, 1] {
            out.put_i32(number);
        }
    }
}

fn init_producer_id(shared: &Shared, out: &mut Vec<u8>) {
    shared.state.send_modify(|state| state.producers += 1);
    out.put_i32(0);
    out.put_i16(NONE);
    out.put_i64(shared.state.borrow().producers);
    out.put_i16(0);
}

/// Whether and when a produce request is answered.
struct Written {
    state: watch::Receiver<State>,
    behaviour: Behaviour,
}

impl Written {
    async fn ready(&mut self) {
        match self.behaviour {
            Behaviour::Hang => std::future::pending().await,
            Behaviour::AnswerFrom(messages) => {
                let _ = self.state.wait_for(|state| state.messages.len() >= messages).await;
            }
            _ => {}
        }
    }
}

impl Shared {
    /// Takes messages in, and writes the answer.
    fn produce(&self, request: &mut &[u8], out: &mut Vec<u8>) -> Written {
        let _transaction = string(request);
        assert_eq!(request.get_i16(), -1, "all replicas are asked for");
        let _timeout = request.get_i32();
        let mut verdict = NONE;
        let state = self.state.subscribe();
        let behaviour = state.borrow().behaviour.clone();
        self.state.send_modify(|state| verdict = state.verdict());
        let topics = request.get_i32();
        out.put_i32(topics);
        for _ in 0..topics {
            let topic = string(request);
            put_string(out, &topic);
            let signal = if topic == "otlp_logs" { Signal::Logs } else { Signal::Traces };
            let partitions = request.get_i32();
            out.put_i32(partitions);
            for _ in 0..partitions {
                let number = request.get_i32();
                let came = records(&bytes(request));
                self.state.send_modify(|state| {
                    state.messages.extend(came.into_iter().map(|record| {
                        let json = ("content-type".to_owned(), ContentType::Json.mime().as_bytes().to_vec());
                        let is_json = record.headers.contains(&json);
                        let content = if is_json { ContentType::Json } else { ContentType::Protobuf };
                        let arrival = Arrival { signal, content, body: record.value.into() };
                        let key = record.key.map(|key| String::from_utf8(key).unwrap());
                        Message { arrival, key, taken: verdict == NONE }
                    }));
                });
                out.put_i32(number);
                out.put_i16(verdict);
                out.put_i64(0);
                out.put_i64(-1);
            }
        }
        out.put_i32(0);
        Written { state, behaviour }
    }
}

impl State {
    fn verdict(&mut self) -> i16 {
        match self.take_only.as_mut() {
            Some(0) if self.refuse > 0 => {
                self.refuse -= 1;
                return NOT_ENOUGH_REPLICAS;
            }
            Some(0) => self.take_only = None,
            Some(left) => *left -= 1,
            None => {}
        }
        match self.behaviour {
            Behaviour::Refuse => TOPIC_AUTHORIZATION_FAILED,
            Behaviour::TooLarge => MESSAGE_TOO_LARGE,
            Behaviour::Unavailable(_) => NOT_ENOUGH_REPLICAS,
            _ => NONE,
        }
    }
}
