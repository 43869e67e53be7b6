//! The parts that `forewarn demo` puts around the daemon, each by itself and over its real protocol, with plain
//! clients that know nothing of this program.

#![expect(clippy::unwrap_used, reason = "these are tests, their helper functions too")]

mod broker;
mod desk;
mod fleet;
mod mail;
mod phone;
mod tow;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use forewarn::demo::sandbox::{Sightings, Stage};
use forewarn::domain::At;

fn clock() -> At {
    At::from_micros(jiff::Timestamp::now().as_microsecond())
}

fn stage() -> Stage {
    Stage { clock: Arc::new(clock), sightings: Sightings::default() }
}

fn http() -> reqwest::Client {
    rustls::crypto::ring::default_provider().install_default().ok();
    reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}

/// A request as the receiver of callbacks saw it.
#[derive(Debug, Clone)]
struct Seen {
    uri: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Seen {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |v| v.to_str().unwrap())
    }

    fn form(&self, name: &str) -> Option<String> {
        url::form_urlencoded::parse(&self.body).find(|(n, _)| n == name).map(|(_, v)| v.into_owned())
    }
}

/// Where callbacks go.
struct Receiver {
    url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Receiver {
    async fn start(answer: impl Fn(&Seen, usize) -> (StatusCode, String) + Clone + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let list = seen.clone();
        let routes = Router::new().fallback(move |_: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
            let request = Seen { uri: uri.to_string(), headers, body: body.to_vec() };
            let before = {
                let mut list = list.lock().unwrap();
                list.push(request.clone());
                list.len() - 1
            };
            let (status, text) = answer(&request, before);
            async move { (status, [("content-type", "text/xml")], text) }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Self { url, seen }
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// Waits until `ready`, at most ten seconds.
async fn eventually(what: &str, ready: impl Fn() -> bool) {
    for _ in 0..1000 {
        if ready() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("still not after ten seconds: {what}");
}
