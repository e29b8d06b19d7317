//! HTTP: metrics, and whether the broker lives and is ready.
//!
//! Loopback unless told otherwise (`http.listener`), for there is no authentication. The protocol
//! is hyper's business; what is bounded here: connections, the size of a request's head, the time
//! it may take, the life of a connection, pages written at a time.

mod answer;
mod places;

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use ottla_core::config::HttpConfig;
use tokio::net::{TcpListener, TcpStream};

use crate::logging::Seldom;
use crate::metrics::Metrics;
use crate::net::is_of_one_connection;
use answer::Site;
use places::{Place, Places};

/// Bytes of a request's head; browsers send some 2 KiB.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// A head has to be there after this time, and so has the next one on a connection that is kept.
const HEAD_TIME_MAX: Duration = Duration::from_secs(30);

/// A connection is ended after this time, at the end of the answer it is at ...
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(300);

/// ... which a slow reader may take so long for, also where the place is needed.
const LAST_ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// Waits so long without file handles before accepting is tried again.
const NO_HANDLES_WAIT: Duration = Duration::from_millis(100);

/// A bound address.
#[derive(Debug)]
pub(crate) struct HttpListener {
    socket: TcpListener,
}

impl HttpListener {
    /// Binds the configured address; `None` where there is none, or where nobody chose it and
    /// another program has it: then the broker goes on without, and says so.
    ///
    /// # Errors
    /// The configured address cannot be had: why, and what to do.
    pub(crate) async fn bind(config: &HttpConfig) -> Result<Option<Self>, String> {
        let Some((host, port)) = &config.listener else {
            return Ok(None);
        };
        let bound = bind(host, *port).await;
        match bound {
            Ok(socket) => Ok(Some(Self { socket })),
            Err(error) if config.is_default_listener => {
                tracing::warn!(
                    "no metrics over HTTP: cannot listen on {host}:{port}: {error}; choose \
                     another address with http.listener, or none"
                );
                Ok(None)
            }
            Err(error) => Err(format!(
                "cannot listen on {host}:{port} for HTTP: {error}; choose another address with \
                 http.listener, or none by leaving it empty"
            )),
        }
    }

    /// Accepts connections from now on; says where.
    pub(crate) fn serve(self, metrics: Arc<Metrics>) {
        match self.socket.local_addr() {
            Ok(address) => tracing::info!("metrics at http://{address}/metrics"),
            Err(error) => tracing::warn!(%error, "metrics at an address that cannot be told"),
        }
        let site = Arc::new(Site::new(metrics));
        tokio::spawn(accept(self.socket, site));
    }
}

/// Binds `host:port`; no host is every address, of both families where there are both.
async fn bind(host: &str, port: u16) -> io::Result<TcpListener> {
    if !host.is_empty() {
        return TcpListener::bind((host, port)).await;
    }
    match TcpListener::bind(("::", port)).await {
        Ok(socket) => Ok(socket),
        Err(_no_such_family) => TcpListener::bind(("0.0.0.0", port)).await,
    }
}

async fn accept(listener: TcpListener, site: Arc<Site>) {
    let places = Arc::<Places>::default();
    let failures = Seldom::default();
    loop {
        let (socket, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) if is_of_one_connection(&error) => continue,
            Err(error) => {
                if let Some(times) = failures.note(Instant::now()) {
                    tracing::warn!(%error, times, "cannot accept HTTP connections now");
                }
                tokio::time::sleep(NO_HANDLES_WAIT).await;
                continue;
            }
        };
        let Some(place) = places.take() else {
            tracing::debug!(%peer, "HTTP connection refused: there are too many");
            continue;
        };
        let site = Arc::clone(&site);
        tokio::spawn(async move {
            if let Err(error) = serve(socket, &site, &place).await {
                tracing::debug!(%peer, %error, "HTTP connection ended");
            }
        });
    }
}

/// Serves one connection to its end.
async fn serve(socket: TcpStream, site: &Site, place: &Place) -> hyper::Result<()> {
    let has_asked = AtomicBool::new(false);
    let service = service_fn(|request| {
        has_asked.store(true, Ordering::Relaxed);
        async move {
            place.begin_answer();
            let answer = site.answer(&request).await;
            place.end_answer();
            Ok::<_, Infallible>(answer)
        }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIME_MAX)
            .max_buf_size(HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(socket), service)
    );
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = place.needed() => if !has_asked.load(Ordering::Relaxed) {
            return Ok(());
        },
        () = tokio::time::sleep(CONNECTION_TIME_MAX) => {}
    }
    connection.as_mut().graceful_shutdown();
    let last = tokio::time::timeout(LAST_ANSWER_TIME_MAX, connection).await;
    last.unwrap_or(Ok(()))
}
