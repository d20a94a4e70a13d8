//! A forked child exports by itself, and its parent does not notice.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod common;
#[path = "common/process.rs"]
mod process;

use std::collections::HashSet;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::exit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::*;
use process::{alone, in_child, join};
use scouter_export::{BatchConfig, Destination};
use scouter_transport::{BoxFuture, Error, ErrorKind, Payload, Receipt, Transport};

/// Writes each request into a socket that it connects when it is made, and waits for an answer.
#[derive(Debug)]
struct Socket {
    stream: std::sync::Mutex<UnixStream>,
    process: u32,
}

impl Socket {
    fn connect(path: &Path) -> Result<Arc<dyn Transport>, Error> {
        let stream =
            UnixStream::connect(path).map_err(|error| Error::new(ErrorKind::Unreachable, error.to_string()))?;
        Ok(Arc::new(Self { stream: stream.into(), process: std::process::id() }))
    }

    fn exchange(&self, payload: &Payload) -> std::io::Result<Receipt> {
        assert_eq!(self.process, std::process::id(), "a parent's socket is not used in a child");
        let mut stream = self.stream.lock().unwrap();
        stream.write_all(&self.process.to_le_bytes())?;
        stream.write_all(&u32::try_from(payload.body.len()).unwrap().to_le_bytes())?;
        stream.write_all(&payload.body)?;
        stream.read_exact(&mut [0])?;
        Ok(Receipt::default())
    }
}

impl Transport for Socket {
    fn send(&self, payload: Payload) -> BoxFuture<'_, Result<Receipt, Error>> {
        Box::pin(
            async move { self.exchange(&payload).map_err(|error| Error::new(ErrorKind::Dropped, error.to_string())) },
        )
    }

    fn flush(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn close(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}

/// Takes requests until every sender is gone, and tells process and span of each.
fn receive(listener: &UnixListener, received: std::sync::mpsc::Sender<(u32, String)>) {
    for stream in listener.incoming() {
        let received = received.clone();
        let mut stream = stream.unwrap();
        std::thread::Builder::new()
            .spawn(move || {
                let mut number = [0; 4];
                while stream.read_exact(&mut number).is_ok() {
                    let process = u32::from_le_bytes(number);
                    stream.read_exact(&mut number).unwrap();
                    let mut body = vec![0; u32::from_le_bytes(number) as usize];
                    stream.read_exact(&mut body).unwrap();
                    for (_, span) in ids(&Payload::traces(body, 0)) {
                        received.send((process, span)).unwrap();
                    }
                    stream.write_all(&[0]).unwrap();
                }
            })
            .unwrap();
    }
}

/// The program that forks, run in a process of its own because a test harness has threads of its own. What it exported it
/// tells in a file beside the socket.
fn family(path: &Path) {
    let (path, told_in) = (path.to_owned(), path.with_file_name("told"));
    let destination = Destination::new("socket", move || Socket::connect(&path)).retry(quick());
    let config = BatchConfig { max_queue_size: 1 << 20, ..batches_of(100) };
    let rig = Rig::new(config, [destination]);
    rig.spans(250);
    let inherited = rig.tracer.span("inherited").start();

    // The queue holds fifty spans of the parent now, or some more: they are the parent's to send.
    join(in_child(|| {
        let stats = rig.stats();
        assert_eq!((stats.started, stats.live, stats.ended, stats.pending), (1, 1, 0, 0));
        rig.spans(30);
        rig.pipeline.flush(SOON).unwrap();
        let stats = rig.stats();
        assert_eq!((stats.started, stats.live, stats.destinations[0].exported), (31, 1, 30));
        // A grandchild works alike.
        join(in_child(|| {
            rig.spans(7);
            rig.pipeline.flush(SOON).unwrap();
            assert_eq!(rig.stats().destinations[0].exported, 7);
            rig.pipeline.shutdown(SOON).unwrap();
        }));
        rig.spans(3);
        rig.pipeline.shutdown(SOON).unwrap();
        assert_eq!(rig.stats().destinations[0].exported, 33);
    }));
    // A child that does nothing with it, and one that only ends it.
    join(in_child(|| {}));
    join(in_child(|| rig.pipeline.shutdown(SOON).unwrap()));

    // Forks while other threads are at every point of their work.
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    rig.spans(10);
                    rig.provider.tracer(scouter_span::Scope::new("another", "", "", &[]));
                    rig.stats();
                    let _ = rig.pipeline.flush(Duration::from_millis(1));
                }
            });
        }
        for _ in 0..30 {
            join(in_child(|| {
                rig.provider.tracer(scouter_span::Scope::new("child", "", "", &[])).span("span").start().end();
                rig.spans(4);
                rig.pipeline.flush(SOON).unwrap();
                let stats = rig.stats();
                assert_eq!((stats.ended, stats.destinations[0].exported), (5, 5));
            }));
        }
        done.store(true, Ordering::Relaxed);
    });

    drop(inherited);
    rig.pipeline.shutdown(SOON).unwrap();
    let stats = rig.stats();
    assert_eq!(stats.destinations[0].exported, stats.started);
    assert_eq!((stats.live, stats.destinations[0].dropped.total()), (0, 0));
    std::fs::write(told_in, format!("{} {}", std::process::id(), stats.started)).unwrap();
}

const SOCKET: &str = "SCOUTER_TEST_SOCKET";

#[test]
#[expect(clippy::disallowed_methods, reason = "the test starts itself again and tells the way through the environment")]
fn children_export_by_themselves_and_nothing_twice() {
    if let Some(path) = std::env::var_os(SOCKET) {
        family(Path::new(&path));
        exit(0);
    }
    let folder = std::env::temp_dir().join(format!("scouter-fork-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let (sender, received) = std::sync::mpsc::channel();
    std::thread::Builder::new().spawn(move || receive(&listener, sender)).unwrap();

    alone("children_export_by_themselves_and_nothing_twice", SOCKET, &path);
    let told = std::fs::read_to_string(folder.join("told")).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();

    let (parent, exported) = told.split_once(' ').unwrap();
    let (parent, exported): (u32, usize) = (parent.parse().unwrap(), exported.parse().unwrap());
    // Every answer was given after the spans were told, so all of them are here.
    let spans: Vec<(u32, String)> = received.try_iter().collect();
    let unique: HashSet<_> = spans.iter().map(|(_, span)| span).collect();
    assert_eq!(unique.len(), spans.len(), "no span comes twice");
    assert_eq!(spans.iter().filter(|(process, _)| *process == parent).count(), exported);
    assert_eq!(spans.len() - exported, 33 + 7 + 30 * 5);
}
