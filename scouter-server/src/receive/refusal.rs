//! Why a request is refused, and what each protocol calls it.

use std::time::Duration;

use http::StatusCode;
use tonic::Code;

use crate::ingest::IngestError;
use crate::metrics::Outcome;
use crate::store::StoreErrorKind;

/// A request that is not accepted. Nothing of it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The body is not what it says it is.
    Malformed(String),
    /// The body is longer than the limit; holds the limit, in bytes.
    TooLarge(usize),
    /// A content type, or a compression, that is not spoken here.
    Unsupported(String),
    /// The token is missing or wrong.
    Unauthorized,
    /// A path, a method of gRPC or a signal that is not served here.
    Unimplemented(String),
    /// A method of HTTP that the path does not take.
    WrongMethod(String),
    /// As much is being received and written as the server allows itself.
    Overloaded,
    /// Nothing more came for that long.
    TimedOut(Duration),
    /// The store could not keep it.
    Store(String),
    /// A defect of the server.
    Panicked,
}

/// When a sender should try again, in seconds. Ingest is quick: whoever was refused for want of room finds some soon.
const RETRY_AFTER_SECONDS: u64 = 1;

/// The longest message.
const MESSAGE_BYTES: usize = 500;

impl Refusal {
    /// How it is counted.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Malformed(_) => Outcome::Malformed,
            Self::TooLarge(_) => Outcome::TooLarge,
            Self::Unsupported(_) => Outcome::Unsupported,
            Self::Unauthorized => Outcome::Unauthorized,
            Self::Unimplemented(_) => Outcome::Unimplemented,
            Self::WrongMethod(_) => Outcome::WrongMethod,
            Self::Overloaded => Outcome::Overloaded,
            Self::TimedOut(_) => Outcome::TimedOut,
            Self::Store(_) => Outcome::StoreError,
            Self::Panicked => Outcome::Panicked,
        }
    }

    /// The HTTP status. Senders try again after 429, 502, 503 and 504 only (OTLP, "Failures").
    pub(crate) fn http(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Unimplemented(_) => StatusCode::NOT_FOUND,
            Self::WrongMethod(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::TimedOut(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Overloaded | Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The gRPC status, which is also the `code` of a `google.rpc.Status`. Senders try again after UNAVAILABLE, and after
    /// RESOURCE_EXHAUSTED only if told when.
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::Malformed(_) => Code::InvalidArgument,
            Self::TooLarge(_) => Code::ResourceExhausted,
            Self::Unsupported(_) | Self::Unimplemented(_) | Self::WrongMethod(_) => Code::Unimplemented,
            Self::Unauthorized => Code::Unauthenticated,
            Self::TimedOut(_) => Code::DeadlineExceeded,
            Self::Overloaded | Self::Store(_) => Code::Unavailable,
            Self::Panicked => Code::Internal,
        }
    }

    /// In how many seconds trying again makes sense, if it ever does.
    pub(crate) fn retry_after(&self) -> Option<u64> {
        matches!(self, Self::Overloaded | Self::Store(_)).then_some(RETRY_AFTER_SECONDS)
    }

    /// What the sender is told. Never long, even where it quotes what was sent.
    pub(crate) fn message(&self) -> String {
        let mut message = self.words();
        if message.len() > MESSAGE_BYTES {
            message.truncate(message.floor_char_boundary(MESSAGE_BYTES));
            message.push('…');
        }
        message
    }

    fn words(&self) -> String {
        match self {
            Self::Malformed(why) | Self::Unsupported(why) | Self::Unimplemented(why) | Self::WrongMethod(why) => {
                why.clone()
            }
            Self::TooLarge(limit) => format!(
                "the request is longer than {limit} bytes, before or after decompression; send smaller batches or \
                 raise the server's --max-request-bytes"
            ),
            Self::Unauthorized => {
                "the request needs the header `authorization: Bearer <token>` with a token of this server".into()
            }
            Self::Overloaded => "the server is receiving as much as it can hold; try again".into(),
            Self::TimedOut(after) => {
                format!("nothing more of the request came for {} seconds", after.as_secs_f64())
            }
            // The store's own words may name files; they go to the server's log.
            Self::Store(_) => "the server could not store the request; try again".into(),
            Self::Panicked => "the server hit a defect while handling the request".into(),
        }
    }
}

impl From<IngestError> for Refusal {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Malformed(..) => Self::Malformed(error.to_string()),
            // The store's check is the same one; should it ever be stricter, sending again would not help.
            IngestError::Store(error) if error.kind() == StoreErrorKind::InvalidRequest => {
                Self::Malformed(error.to_string())
            }
            IngestError::Store(error) => Self::Store(error.to_string()),
        }
    }
}
