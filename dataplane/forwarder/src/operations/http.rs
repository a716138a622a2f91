//! The HTTP server of `/metrics`.

use std::future::Future;
use std::io;
use std::sync::Weak;

use axum::Router as Routes;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use super::metrics;
use crate::router::Router;

/// Serves the metrics of a router, for as long as it lives, on a listening socket until `stop` is ready.
///
/// # Errors
/// The socket's.
pub async fn serve(router: Weak<Router>, listener: TcpListener, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
    let routes = Routes::new().route("/metrics", get(all)).route("/", get(index)).with_state(router);
    axum::serve(listener, routes).with_graceful_shutdown(stop).await
}

async fn index() -> &'static str {
    "svpn-forwarder: metrics are at /metrics\n"
}

async fn all(State(router): State<Weak<Router>>) -> Response {
    // Reads counters of a million sessions.
    let text = tokio::task::spawn_blocking(move || router.upgrade().map(|router| metrics::text(&router))).await;
    match text {
        Ok(Some(Ok(text))) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Ok(Some(Err(error))) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
        Ok(None) | Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the router stops\n").into_response(),
    }
}
