//! The program `scouter-server` with every receiver, for the tests that end and kill it.

fn main() -> std::process::ExitCode {
    scouter_server::run(std::env::args_os()).into()
}
