//! A client of AMQP 0-9-1, as small as sending and receiving telemetry needs it.
//!
//! Everything about a [`Connection`] lives in one task on the runtime that opened it: no thread, no state beside it. It
//! ends with the runtime, or when the last handle is dropped. Publishing costs no round trip: any number of messages is
//! under way on one [`Channel`], and each has a [`Confirm`] of its own.
//!
//! Where the specification leaves things to the broker, RabbitMQ's extensions count: publisher confirms, `basic.nack`,
//! `connection.blocked`, consumer cancel notification.

mod address;
mod channel;
mod connection;
mod driver;
mod handshake;
mod line;
mod method;
mod properties;
mod reader;
mod reply;
mod wire;
mod writer;

pub use self::address::Address;
pub use self::channel::{Acknowledger, Channel, Confirm, Deliveries, Publication, Queue};
pub use self::connection::Connection;
pub use self::line::Delivery;
pub use self::properties::{Headers, Properties};
pub use self::reply::Reply;
