//! Operations other than document writes.

use moonforge_model::Priority;
use moonforge_store::NewOperation;
use serde_json::Value;

use crate::error::Error;
use crate::forge::Moonforge;

impl Moonforge {
    /// Queues an operation for the executor of that name ([`Builder::executor`](crate::Builder::executor)), durably, and
    /// gives it its id. It is carried out by the background engine and by explicit syncs: those of one name and `key` one at a
    /// time, first in first out; others beside each other. See `docs/queue.md`.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use moonforge::{Executed, Executor, Moonforge, Operation, Priority};
    ///
    /// struct Invites;
    ///
    /// #[async_trait::async_trait]
    /// impl Executor for Invites {
    ///     async fn execute(&self, operation: &Operation) -> Executed {
    ///         // A request to the app's own server, with `operation.id` as its idempotency key.
    ///         assert_eq!(operation.payload["role"], "player");
    ///         Executed::Done
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), moonforge::Error> {
    /// let forge = Moonforge::memory_builder().executor("send_invite", Invites).open().await?;
    /// let invite = serde_json::json!({"role": "player"});
    /// forge.enqueue("send_invite", "anna", invite, Priority::High).await?; // returns when durable here
    /// assert_eq!(forge.sync_now().await?.operations, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `invalid_id` for a name or key that can't be one, `too_large` for a payload of more than 1 MiB, `outbox_full`, and
    /// those of the local store.
    pub async fn enqueue(
        &self,
        name: impl Into<String>,
        key: impl Into<String>,
        payload: impl Into<Value>,
        priority: Priority,
    ) -> Result<String, Error> {
        let operation = NewOperation::new(name, key, payload.into());
        self.enqueue_operation(NewOperation {
            priority,
            ..operation
        })
        .await
    }

    /// [`Moonforge::enqueue`], for an operation that may have to wait until a document is clean.
    ///
    /// # Errors
    /// As `enqueue`, and `unknown_collection` of the document.
    pub async fn enqueue_operation(&self, operation: NewOperation) -> Result<String, Error> {
        let now = self.clock().now();
        Ok(self.store().enqueue(operation, now).await?)
    }

    /// Why an operation waits that nobody here can carry out.
    pub(crate) fn without_executor(&self, name: &str) -> Option<String> {
        (!self.inner().executors.contains(name)).then(|| {
            format!("no executor `{name}` is registered in this app, so the operation waits")
        })
    }
}
