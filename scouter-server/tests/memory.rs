//! What a zip bomb costs, in a process of its own so that its memory can be measured.

mod support;

use support::TestServer;
use support::client::{EXPORT, JSON, PROTOBUF, frame, grpc, post_gzip};
use support::request::zip_bomb;

const MIB: usize = 1024 * 1024;

/// The most memory this process ever had, in bytes.
fn peak_memory() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<usize>().ok()? * 1024)
}

#[tokio::test]
async fn a_zip_bomb_is_refused_and_never_unfolds() {
    let server = TestServer::start().await;
    let bomb = zip_bomb(1024);
    assert!(bomb.len() < 8 * MIB, "{}", bomb.len());
    let before = peak_memory();
    for content_type in [PROTOBUF, JSON] {
        let answer = post_gzip(&server, content_type, bomb.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (413, content_type), "{answer:?}");
    }
    let answer = grpc(&server, EXPORT, &[("grpc-encoding", "gzip")], frame(1, &bomb)).await;
    assert_eq!((answer.header("grpc-status"), answer.header("grpc-status-details-bin")), ("8", ""));
    if let (Some(before), Some(after)) = (before, peak_memory()) {
        // The limit, twice while the buffer grows, and the copies of the bomb that this test sends.
        assert!(after - before < 256 * MIB, "{} MiB", (after - before) / MIB);
    }
    server.assert_unharmed().await;
}
