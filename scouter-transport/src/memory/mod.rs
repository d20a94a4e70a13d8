//! Memory: keeps what it is given, for tests and for looking at what would be sent.

mod config;
mod sender;

pub use self::config::MemoryConfig;
pub use self::sender::Memory;
