//! What is answered to which request.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::Mutex;

use crate::metrics::{self, Format, Metrics};

type Answer = Response<Full<Bytes>>;

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The paths there are, each with what it is for.
const PATHS: &[(&str, &str)] = &[
    ("/metrics", "metrics for Prometheus"),
    ("/metrics/help", "what they mean"),
    ("/healthz", "whether the process can do its work"),
    ("/readyz", "whether requests are answered now"),
];

/// Answers requests.
pub(super) struct Site {
    metrics: Arc<Metrics>,
    /// One page is written at a time, even where those who asked hang up.
    writing: Arc<Mutex<()>>,
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").finish_non_exhaustive()
    }
}

impl Site {
    /// A site that tells these metrics.
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            writing: Arc::default(),
        }
    }

    /// Answers a request; its body is not looked at.
    pub(super) async fn answer<B>(&self, request: &Request<B>) -> Answer {
        let path = request.uri().path();
        let is_known = path == "/" || PATHS.iter().any(|(known, _what)| *known == path);
        if !is_known {
            return plain(StatusCode::NOT_FOUND, not_found());
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let what = "only GET and HEAD are answered\n";
            let mut answer = plain(StatusCode::METHOD_NOT_ALLOWED, what.to_owned());
            let allowed = HeaderValue::from_static("GET, HEAD");
            answer.headers_mut().insert(ALLOW, allowed);
            return answer;
        }
        match path {
            "/metrics" => self.metrics(format_of(request)).await,
            "/metrics/help" => plain(StatusCode::OK, metrics::markdown()),
            "/healthz" => state(self.metrics.health()),
            "/readyz" => self.readiness().await,
            _index => of(StatusCode::OK, HTML, index()),
        }
    }

    async fn metrics(&self, format: Format) -> Answer {
        let one_at_a_time = Arc::clone(&self.writing).lock_owned().await;
        let metrics = Arc::clone(&self.metrics);
        let write = move || {
            let page = metrics.page(format);
            drop(one_at_a_time);
            page
        };
        let page = tokio::task::spawn_blocking(write).await;
        match (page, format) {
            (Ok(page), Format::Classic) => of(StatusCode::OK, CLASSIC, page),
            (Ok(page), Format::OpenMetrics) => of(StatusCode::OK, OPEN_METRICS, page),
            (Err(_cancelled), _) => stopping(),
        }
    }

    async fn readiness(&self) -> Answer {
        let metrics = Arc::clone(&self.metrics);
        let looked = tokio::task::spawn_blocking(move || metrics.readiness()).await;
        looked.map_or_else(|_cancelled| stopping(), state)
    }
}

/// OpenMetrics where the peer says that it reads it, as Prometheus does; else what every reader of
/// metrics knows.
fn format_of<B>(request: &Request<B>) -> Format {
    let accepted = request.headers().get_all(ACCEPT);
    let is_open = accepted
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains("application/openmetrics-text"));
    if is_open {
        Format::OpenMetrics
    } else {
        Format::Classic
    }
}

fn state(state: Result<(), &'static str>) -> Answer {
    match state {
        Ok(()) => plain(StatusCode::OK, "ok\n".to_owned()),
        Err(reason) => plain(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

/// The runtime ends.
fn stopping() -> Answer {
    state(Err("stopping"))
}

fn not_found() -> String {
    let mut text = "there is nothing here; these are answered:\n".to_owned();
    for (path, what) in PATHS {
        text += &format!("{path}  {what}\n");
    }
    text
}

fn index() -> String {
    let mut page = "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
                    <title>Ottla</title></head>\n<body><h1>Ottla</h1>\n<ul>\n"
        .to_owned();
    for (path, what) in PATHS {
        page += &format!("<li><a href=\"{path}\">{path}</a>: {what}</li>\n");
    }
    page += "</ul></body></html>\n";
    page
}

fn plain(status: StatusCode, text: String) -> Answer {
    of(status, TEXT, text)
}

fn of(status: StatusCode, kind: &'static str, text: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    answer.headers_mut().insert(CONTENT_TYPE, kind);
    answer
}
