//! Work that a shutdown can end.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project::pin_project;
use tokio_util::sync::WaitForCancellationFutureOwned;

/// Work that ends when it is done, or when it is told to stop; then it is dropped where it stands.
///
/// The same as a block that waits for either, which is a future three times as large as the work:
/// that of a fill has some kilobytes, and each of them is copied on its way into its task.
#[pin_project]
#[derive(Debug)]
pub(super) struct Stoppable<F> {
    #[pin]
    stopped: WaitForCancellationFutureOwned,
    #[pin]
    work: F,
}

impl<F> Stoppable<F> {
    pub(super) fn new(stopped: WaitForCancellationFutureOwned, work: F) -> Self {
        Self { stopped, work }
    }
}

impl<F: Future<Output = ()>> Future for Stoppable<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.stopped.poll(context).is_ready() {
            return Poll::Ready(());
        }
        this.work.poll(context)
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use tokio_util::sync::CancellationToken;

    use super::*;

    #[tokio::test]
    async fn work_ends_by_itself_or_when_it_is_stopped() {
        let stop = CancellationToken::new();
        let stoppable = |work| Stoppable::new(stop.clone().cancelled_owned(), work);
        stoppable(Box::pin(async {}) as Pin<Box<dyn Future<Output = ()> + Send>>).await;
        let endless = tokio::spawn(stoppable(Box::pin(pending())));
        tokio::task::yield_now().await;
        assert!(!endless.is_finished());
        stop.cancel();
        endless.await.unwrap();
    }

    #[test]
    fn it_is_hardly_larger_than_the_work() {
        let stop = CancellationToken::new();
        let work = std::future::ready(());
        let alone = size_of_val(&Stoppable::new(stop.clone().cancelled_owned(), work));
        let (large, buffer) = (1 << 13, [0_u8; 1 << 13]);
        let work = async move {
            pending::<()>().await;
            std::hint::black_box(&buffer);
        };
        let whole = size_of_val(&Stoppable::new(stop.cancelled_owned(), work));
        assert!(whole < large + alone + 64, "{whole} bytes");
    }
}
