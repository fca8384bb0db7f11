//! Sending the requests of a list, a few at a time.

use std::{
    collections::HashMap, error, fmt, future::poll_fn, num::NonZeroUsize, pin::pin, sync::Arc,
    time::Duration,
};

use http::{Request, Response};
use http_body::Body;
use tokio::{
    task::{self, JoinSet},
    time::{Instant, timeout},
};
use tower_service::Service;

use super::WarmList;
use crate::{Larder, entry::CACHE_STATUS, handle::Core};

/// How many requests are under way at a time if nothing else is said.
const CONCURRENCY: usize = 8;

/// How long one of them may take if nothing else is said: as long as a fill may.
const TIMEOUT: Duration = Duration::from_secs(30);

impl Larder {
    /// Returns a warming of what `list` names; [`Warming::through`] starts it.
    pub fn warm(&self, list: WarmList) -> Warming {
        Warming {
            core: Arc::clone(self.core()),
            list,
            concurrency: CONCURRENCY,
            timeout: TIMEOUT,
            within: Duration::MAX,
            progress: None,
        }
    }
}

/// A warming that is about to start. See [`Larder::warm`].
#[must_use]
pub struct Warming {
    core: Arc<Core>,
    list: WarmList,
    concurrency: usize,
    timeout: Duration,
    within: Duration,
    progress: Option<Box<dyn FnMut(&WarmProgress) + Send>>,
}

/// How far a warming has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WarmProgress {
    /// How many requests there are.
    pub total: usize,
    /// How many have ended, well or not.
    pub done: usize,
    /// How many have failed.
    pub failed: usize,
}

/// What a warming came to.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct WarmReport {
    /// How many requests were answered well.
    pub warmed: usize,
    /// How many of those larder said it did not store, by `Cache-Status`: their routes have no
    /// policy, or something else keeps them out. Zero if that field is off.
    pub not_stored: usize,
    /// What could not be warmed, and why.
    pub failed: Vec<WarmFailure>,
}

/// A request that was not answered well.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WarmFailure {
    /// As it stood in the list.
    pub url: String,
    /// What went wrong.
    pub reason: String,
}

impl WarmFailure {
    pub(super) fn new(url: &str, reason: impl Into<String>) -> Self {
        Self {
            url: url.to_owned(),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for WarmFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.url, self.reason)
    }
}

impl fmt::Debug for Warming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Warming")
            .field("requests", &self.list.len())
            .field("concurrency", &self.concurrency)
            .finish_non_exhaustive()
    }
}

impl Warming {
    /// Sets how many requests are under way at a time. Default: 8.
    pub fn concurrency(mut self, requests: usize) -> Self {
        self.concurrency = NonZeroUsize::new(requests).map_or(1, NonZeroUsize::get);
        self
    }

    /// Sets how long one request may take. Default: 30 s. Then it has failed, and the next one goes.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    /// Sets how long all of it may take. Default: as long as it does. What is under way then has
    /// failed, and so has what was not sent.
    pub fn within(mut self, limit: Duration) -> Self {
        self.within = limit;
        self
    }

    /// Sets what is called after each request.
    pub fn on_progress(mut self, tell: impl FnMut(&WarmProgress) + Send + 'static) -> Self {
        self.progress = Some(Box::new(tell));
        self
    }

    /// Sends the requests through `service`, each with the body that `body` makes, and returns when
    /// all have ended.
    ///
    /// The service is the one that visitors reach, with the layer inside. A request that fails stops
    /// no other; it is in the report. Dropping the future ends what is under way, and so does
    /// [`Larder::shutdown`].
    pub async fn through<S, B, R>(mut self, service: S, body: impl Fn() -> B) -> WarmReport
    where
        S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: fmt::Display + Send + 'static,
        B: Send + 'static,
        R: Body + Send + 'static,
        R::Error: Into<Box<dyn error::Error + Send + Sync>>,
    {
        let mut run = Run::of(&mut self);
        let began = Instant::now();
        let tells = self.core.name.is_some();
        loop {
            let left = self.within.saturating_sub(began.elapsed());
            let goes_on = !left.is_zero() && !self.core.stop.is_cancelled();
            while goes_on
                && run.under_way.len() < self.concurrency
                && let Some((url, request)) = run.requests.next()
            {
                let request = request.map(|()| body());
                let (service, limit) = (service.clone(), self.timeout.min(left));
                let task = run.under_way.spawn(async move {
                    let ended = timeout(limit, ask(service, request)).await;
                    ended.unwrap_or_else(|_| Err(format!("took longer than {limit:?}")))
                });
                run.urls.insert(task.id(), url);
            }
            let Some(ended) = run.under_way.join_next_with_id().await else {
                break;
            };
            run.ended(ended, tells);
            if let Some(tell) = &mut self.progress {
                tell(&run.progress);
            }
        }
        run.finished()
    }
}

/// A warming under way.
struct Run {
    requests: std::vec::IntoIter<(String, Request<()>)>,
    under_way: JoinSet<Result<bool, String>>,
    /// What the requests under way are for.
    urls: HashMap<task::Id, String>,
    progress: WarmProgress,
    report: WarmReport,
}

impl Run {
    fn of(warming: &mut Warming) -> Self {
        let list = std::mem::take(&mut warming.list);
        Self {
            progress: WarmProgress {
                total: list.requests.len() + list.failed.len(),
                done: list.failed.len(),
                failed: list.failed.len(),
            },
            report: WarmReport {
                failed: list.failed,
                ..WarmReport::default()
            },
            requests: list.requests.into_iter(),
            under_way: JoinSet::new(),
            urls: HashMap::new(),
        }
    }

    /// Notes how a request ended. `tells` says that larder says of each answer what it did.
    fn ended(
        &mut self,
        ended: Result<(task::Id, Result<bool, String>), task::JoinError>,
        tells: bool,
    ) {
        let (task, ended) = match ended {
            Ok(ended) => ended,
            Err(error) => (error.id(), Err("its handler panicked".to_owned())),
        };
        let url = self.urls.remove(&task).unwrap_or_default();
        match ended {
            Ok(stored) => {
                self.report.warmed += 1;
                self.report.not_stored += usize::from(tells && !stored);
            }
            Err(reason) => self.report.failed.push(WarmFailure { url, reason }),
        }
        self.progress.done += 1;
        self.progress.failed = self.report.failed.len();
    }

    fn finished(mut self) -> WarmReport {
        let unsent = self
            .requests
            .map(|(url, _)| WarmFailure::new(&url, "not sent: it had to end before"));
        self.report.failed.extend(unsent);
        self.report
    }
}

/// Sends a request and reads its answer to the end. Returns whether larder says that it has it now.
async fn ask<S, B, R>(mut service: S, request: Request<B>) -> Result<bool, String>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: fmt::Display,
    R: Body,
    R::Error: Into<Box<dyn error::Error + Send + Sync>>,
{
    let failed = |error: S::Error| format!("the service failed: {error}");
    poll_fn(|context| service.poll_ready(context))
        .await
        .map_err(failed)?;
    let response = service.call(request).await.map_err(failed)?;
    let (parts, body) = response.into_parts();
    let mut body = pin!(body);
    while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
        if let Err(error) = frame {
            return Err(format!("its body broke off: {}", error.into()));
        }
    }
    if !parts.status.is_success() && !parts.status.is_redirection() {
        return Err(format!("answered {}", parts.status));
    }
    let has = |member: &http::HeaderValue| {
        let member = String::from_utf8_lossy(member.as_bytes());
        member.contains("; hit") || member.contains("; stored") || member.contains("; collapsed")
    };
    Ok(parts.headers.get_all(&CACHE_STATUS).iter().any(has))
}
