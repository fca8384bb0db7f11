//! What the routes answer: JSON, errors included.

use std::time::Duration;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use crate::{clock::Timestamp, invalidate::Ack};

pub(super) type Answer = Result<Json<Value>, Refusal>;

/// Why a call was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
        }
    }

    /// The call says something that can not be understood.
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, message)
    }

    pub(super) fn unauthorized() -> Response {
        let message = "not let in; send `Authorization: Bearer` and the token";
        let mut response = Self::new(StatusCode::UNAUTHORIZED, message).into_response();
        response.headers_mut().insert(
            header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"larder\""),
        );
        response
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": self.message }))).into_response()
    }
}

/// Writes an acknowledgement into an object.
pub(super) fn acknowledged(mut object: Value, ack: Ack, sequence: u64) -> Value {
    if let Value::Object(fields) = &mut object {
        fields.insert("sequence".to_owned(), sequence.into());
        match ack {
            Ack::Global => {
                fields.insert("ack".to_owned(), "global".into());
            }
            Ack::Local { pending } => {
                fields.insert("ack".to_owned(), "local".into());
                fields.insert("pending".to_owned(), pending.into());
            }
        }
    }
    object
}

/// Returns a moment in seconds since the Unix epoch.
pub(super) fn moment(at: Timestamp) -> Value {
    seconds(Duration::from_millis(at.as_millis()))
}

/// Returns a duration in seconds; what never ends is null.
pub(super) fn seconds(duration: Duration) -> Value {
    if duration >= Duration::from_millis(u64::MAX / 2) {
        return Value::Null;
    }
    duration.as_secs_f64().into()
}
