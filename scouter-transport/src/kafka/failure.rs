//! What the errors of librdkafka mean to whoever sends.

use rdkafka::types::RDKafkaErrorCode as Code;

use crate::error::{Error, ErrorKind};

/// The kind of an error with this code (Kafka's protocol, "Error codes", and librdkafka's own below zero).
fn kind(code: Code) -> ErrorKind {
    match code {
        Code::MessageTimedOut | Code::TimedOutQueue | Code::OperationTimedOut | Code::RequestTimedOut => {
            ErrorKind::Timeout
        }
        Code::BrokerTransportFailure | Code::AllBrokersDown | Code::Resolve => ErrorKind::Unreachable,
        Code::BrokerDestroy | Code::DestroyBroker | Code::NetworkException | Code::PurgeQueue | Code::PurgeInflight => {
            ErrorKind::Dropped
        }
        Code::SSL => ErrorKind::Tls,
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => ErrorKind::TooLarge,
        Code::ThrottlingQuotaExceeded => ErrorKind::Throttled,
        Code::InvalidArgument | Code::NotConfigured => ErrorKind::Config,
        Code::UnknownTopic
        | Code::UnknownPartition
        | Code::UnknownTopicOrPartition
        | Code::InvalidTopic
        | Code::Authentication
        | Code::TopicAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState
        | Code::SecurityDisabled
        | Code::InvalidMessage
        | Code::InvalidRecord
        | Code::InvalidDifferentRecord
        | Code::InvalidTimestamp
        | Code::InvalidRequest
        | Code::InvalidRequiredAcks
        | Code::PolicyViolation
        | Code::UnsupportedVersion
        | Code::UnsupportedForMessageFormat
        | Code::UnsupportedCompressionType
        | Code::UnsupportedFeature => ErrorKind::Refused,
        // Leaders that move, replicas that are behind, disks that fail: what a cluster recovers from.
        _ => ErrorKind::Unavailable,
    }
}

/// What to do about it, where something can be done.
fn way_out(code: Code, topic: &str) -> Option<String> {
    Some(match code {
        Code::UnknownTopic | Code::UnknownTopicOrPartition => {
            format!("the topic {topic} does not exist: create it or set another one")
        }
        Code::InvalidTopic => format!("the brokers do not take messages for the topic {topic}: set another one"),
        Code::TopicAuthorizationFailed => {
            format!("this user may not write to the topic {topic}: let it, or set another")
        }
        Code::ClusterAuthorizationFailed => {
            "this user may not write idempotently: let it (IdempotentWrite), or set the property enable.idempotence to \
             false"
                .to_owned()
        }
        Code::Authentication | Code::SaslAuthenticationFailed => {
            "the brokers do not accept the user name and the password".to_owned()
        }
        Code::SSL => {
            "the brokers and this client do not agree on TLS: give the CA that signed the brokers' certificate, and a \
             certificate of one's own where they ask for it"
                .to_owned()
        }
        Code::UnsupportedSASLMechanism => "the brokers do not take this SASL mechanism: set another one".to_owned(),
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge => {
            format!("a message is larger than max_message_bytes or than the topic {topic} takes")
        }
        _ => return None,
    })
}

/// The error behind a code. `reason` is what librdkafka says, `""` when it says nothing more.
pub(super) fn error(code: Code, topic: &str, reason: &str) -> Error {
    let said = if reason.is_empty() { code.to_string() } else { reason.to_owned() };
    let detail = match way_out(code, topic) {
        Some(way_out) => format!("{way_out} ({said})"),
        None => said,
    };
    Error::new(kind(code), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_become_kinds_and_say_the_way_out() {
        for (code, kind, retryable, words) in [
            (Code::UnknownTopicOrPartition, ErrorKind::Refused, false, "the topic t does not exist: create it"),
            (Code::TopicAuthorizationFailed, ErrorKind::Refused, false, "may not write to the topic t"),
            (Code::Authentication, ErrorKind::Refused, false, "do not accept the user name and the password"),
            (Code::MessageSizeTooLarge, ErrorKind::TooLarge, false, "larger than max_message_bytes"),
            (Code::NotEnoughReplicas, ErrorKind::Unavailable, true, ""),
            (Code::NotLeaderForPartition, ErrorKind::Unavailable, true, ""),
            (Code::BrokerTransportFailure, ErrorKind::Unreachable, true, ""),
            (Code::MessageTimedOut, ErrorKind::Timeout, true, ""),
            (Code::PurgeQueue, ErrorKind::Dropped, true, ""),
        ] {
            let error = error(code, "t", "");
            assert_eq!((error.kind(), error.is_retryable()), (kind, retryable), "{error}");
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
