//! The answer of a handler with a policy.

use axum::response::{IntoResponse, Response};

use super::Declared;
use crate::policy::CacheHint;

/// What a handler answered, with the policy that is declared for it.
#[derive(Debug)]
pub struct Answer<T> {
    answer: T,
    declared: Option<&'static Declared>,
}

impl<T> Answer<T> {
    /// Returns the answer; one that `failed` carries no policy.
    pub fn new(answer: T, failed: bool, declared: &'static Declared) -> Self {
        Self {
            answer,
            declared: (!failed).then_some(declared),
        }
    }
}

impl<T: IntoResponse> IntoResponse for Answer<T> {
    fn into_response(self) -> Response {
        let mut response = self.answer.into_response();
        let status = response.status();
        if let Some(declared) = self.declared
            && !status.is_client_error()
            && !status.is_server_error()
        {
            declared.declare(response.extensions_mut(), CacheHint::new());
        }
        response
    }
}

/// Asks an answer of whatever type whether it is an error. A method of the type itself is found
/// before one of a trait, so that only a `Result` is asked.
#[derive(Debug)]
pub struct Probe<'a, T>(pub &'a T);

impl<T, E> Probe<'_, Result<T, E>> {
    /// Returns whether the result is an error.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.0.is_err()
    }
}

/// What is said of answers that are no `Result`.
pub trait Otherwise {
    /// Returns that it is none.
    fn is_error(&self) -> bool {
        false
    }
}

impl<T> Otherwise for Probe<'_, T> {}
