//! Where one structure stands, and how its operations are carried out.

use std::{sync::Arc, time::Duration};

use serde::{Serialize, de::DeserializeOwned};

use super::Name;
use crate::{
    Larder,
    error::{Error, ErrorKind},
    handle::Core,
    store::structures::{Operation, Reply},
};

/// The place of one structure.
#[derive(Clone, Debug)]
pub(super) struct Shelf {
    pub(super) core: Arc<Core>,
    pub(super) name: Name,
}

impl Shelf {
    pub(super) fn of(larder: &Larder, name: &Name) -> Self {
        Self {
            core: Arc::clone(larder.core()),
            name: name.clone(),
        }
    }

    pub(super) fn text(&self) -> Arc<str> {
        Arc::clone(self.name.text())
    }

    /// Carries out one operation.
    pub(super) async fn run(&self, operation: Operation) -> Result<Reply, Error> {
        let mut replies = self.core.structures(&[operation]).await?;
        replies.pop().unwrap_or_else(|| Err(unexpected()))
    }

    pub(super) async fn number(&self, operation: Operation) -> Result<i64, Error> {
        match self.run(operation).await? {
            Reply::Number(number) => Ok(number),
            _ => Err(unexpected()),
        }
    }

    pub(super) async fn size(&self, operation: Operation) -> Result<u64, Error> {
        Ok(u64::try_from(self.number(operation).await?).unwrap_or_default())
    }

    pub(super) async fn flag(&self, operation: Operation) -> Result<bool, Error> {
        Ok(self.number(operation).await? != 0)
    }

    pub(super) async fn remove(&self) -> Result<bool, Error> {
        self.flag(Operation::Remove { name: self.text() }).await
    }

    pub(super) async fn expire(&self, after: Duration) -> Result<bool, Error> {
        let name = self.text();
        self.flag(Operation::Expire { name, after }).await
    }
}

/// Returns the error of a reply that does not fit its question.
pub(super) fn unexpected() -> Error {
    Error::new(ErrorKind::Unavailable, "a reply does not fit its question")
}

pub(super) fn written<V: Serialize>(value: &V) -> Result<bytes::Bytes, Error> {
    serde_json::to_vec(value).map(Into::into).map_err(|cause| {
        let message = format!("value can not be stored: {cause}");
        Error::new(ErrorKind::Value, message)
    })
}

pub(super) fn read<V: DeserializeOwned>(bytes: &[u8]) -> Result<V, Error> {
    serde_json::from_slice(bytes).map_err(|cause| {
        let message = format!("value is not of this type: {cause}");
        Error::new(ErrorKind::Value, message)
    })
}

pub(super) fn boxed<M: AsRef<str>>(members: impl IntoIterator<Item = M>) -> Vec<Box<str>> {
    members
        .into_iter()
        .map(|member| member.as_ref().into())
        .collect()
}

/// Says what every structure has: an end, and a time to end.
macro_rules! ends {
    ($kind:ident $(<$type:ident>)?) => {
        impl$(<$type>)? $kind$(<$type>)? {
            /// Removes it with all that is in it, and tells whether there was any.
            ///
            /// # Errors
            ///
            /// Fails if Redis gives no answer.
            pub async fn clear(&self) -> Result<bool, $crate::error::Error> {
                self.shelf.remove().await
            }

            /// Lets it end `after` some time from now, and tells whether there is any. Default: never.
            ///
            /// # Errors
            ///
            /// Fails if Redis gives no answer.
            pub async fn expire(
                &self,
                after: std::time::Duration,
            ) -> Result<bool, $crate::error::Error> {
                self.shelf.expire(after).await
            }
        }
    };
}
pub(super) use ends;
