use std::time::Duration;

use metrics::{counter, histogram, with_local_recorder};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::{MetricsExporter, exporter};
use crate::{Shutdown, Tasks};

fn recorded() -> MetricsExporter {
    let recorder = exporter::builder().unwrap().build_recorder();
    let metrics = MetricsExporter::of(recorder.handle());
    with_local_recorder(&recorder, || {
        counter!("theatre_seats_total").increment(7);
        histogram!("theatre_wait_seconds").record(Duration::from_millis(3));
        histogram!("theatre_party_seats").record(3.0);
    });
    metrics
}

#[test]
fn histograms_have_buckets() {
    let text = recorded().render();
    assert!(text.contains("theatre_seats_total 7"), "{text}");
    assert!(text.contains("theatre_wait_seconds_bucket{le=\"0.0025\"} 0"), "{text}");
    assert!(text.contains("theatre_wait_seconds_bucket{le=\"0.005\"} 1"), "{text}");
    assert!(text.contains("theatre_party_seats_bucket{le=\"4\"} 1"), "{text}");
}

async fn get(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn metrics_are_served_until_shutdown() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let tasks = Tasks::new(Shutdown::new());
    tasks.spawn_fallible("metrics", recorded().serve(listener, tasks.shutdown()));

    let answer = get(address, "GET /metrics").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("theatre_seats_total 7"), "{answer}");
    assert!(get(address, "GET /").await.starts_with("HTTP/1.1 404"));
    assert!(get(address, "POST /metrics").await.starts_with("HTTP/1.1 405"));

    tasks.shutdown().begin();
    tasks.finish(Duration::from_secs(5)).await.unwrap();
}

#[test]
fn an_invalid_filter_is_named() {
    let error = super::install_logs(&super::LogSettings::new("info,diptych=loud", super::LogFormat::Auto))
        .unwrap_err()
        .to_string();
    assert!(error.contains("\"info,diptych=loud\"") && error.contains("diptych_relay=debug"), "{error}");
}
