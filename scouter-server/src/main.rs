//! The program `scouter-server`.

fn main() -> std::process::ExitCode {
    scouter_server::run(std::env::args_os()).into()
}
