//! Our own figures, in the Prometheus format.
//!
//! | name | labels | |
//! |---|---|---|
//! | `forewarn_http_requests_total` | `route` (the pattern, `unmatched` for none), `status` | counter |
//! | `forewarn_http_request_seconds` | `route` | histogram |
//! | `forewarn_http_connections` | | gauge |
//! | `forewarn_http_callbacks_total` | `kind` (`voice`, `call_status`, `sms_status`, `dispatch`), `result` | counter |

use std::sync::OnceLock;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

pub(super) const REQUESTS: &str = "forewarn_http_requests_total";
pub(super) const REQUEST_SECONDS: &str = "forewarn_http_request_seconds";
pub(super) const CONNECTIONS: &str = "forewarn_http_connections";
pub(super) const CALLBACKS: &str = "forewarn_http_callbacks_total";

/// Bounds for everything that ends in `_seconds`: from a commit (1 ms) to a slow provider (30 s).
const SECONDS: [f64; 14] = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 10.0, 30.0];

/// The recorder could not be installed, for instance because another one is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("metrics cannot be recorded: {0}")]
pub struct MetricsError(String);

/// Installs the process-wide recorder and describes the figures of this module. Call it before the first figure is
/// counted; calling it again gives the same handle. [`serve`](super::serve) does the upkeep.
pub fn install_metrics() -> Result<PrometheusHandle, MetricsError> {
    static HANDLE: OnceLock<Result<PrometheusHandle, MetricsError>> = OnceLock::new();
    HANDLE.get_or_init(install).clone()
}

fn install() -> Result<PrometheusHandle, MetricsError> {
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|e| MetricsError(e.to_string()))?;
    metrics::describe_counter!(REQUESTS, "HTTP requests answered, by route pattern and status");
    metrics::describe_histogram!(REQUEST_SECONDS, metrics::Unit::Seconds, "Time from request head to answer head");
    metrics::describe_gauge!(CONNECTIONS, "Open HTTP connections");
    metrics::describe_counter!(CALLBACKS, "Callbacks of providers, by kind and what became of them");
    Ok(handle)
}
