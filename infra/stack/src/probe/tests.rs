use std::{fs, net::Ipv4Addr};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

async fn ask(ready: Readiness) -> Result<(), String> {
    probe(&ready, Path::new("/no/log"), 0).await
}

/// Answers every connection with these bytes.
async fn server(answer: &'static [u8]) -> (u16, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = tokio::task::JoinSet::new();
    let task = tokio::task::spawn_local(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tasks.spawn_local(async move {
                stream.read_u8().await.unwrap();
                stream.write_all(answer).await.unwrap();
                stream.shutdown().await.unwrap();
                // Until the other side is done.
                let _ = stream.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    (port, task)
}

/// Results of all probes against a server with this answer.
async fn said(answer: &'static [u8]) -> Vec<String> {
    let local = tokio::task::LocalSet::new();
    local
        .run_until(async {
            let (port, task) = server(answer).await;
            let path = "/ready".to_owned();
            let mut said = Vec::new();
            for ready in [
                Readiness::Http { port, path },
                Readiness::Postgres { port },
                Readiness::Kafka { port },
                Readiness::Cql { port },
                Readiness::Memcached { port },
            ] {
                said.push(ask(ready).await.err().unwrap_or_else(|| "ready".to_owned()));
            }
            task.abort();
            said
        })
        .await
}

#[tokio::test]
async fn each_probe_accepts_only_its_own_server() {
    let http = said(b"HTTP/1.1 200 OK\r\n\r\n").await;
    assert_eq!(http.iter().filter(|said| *said == "ready").count(), 1, "{http:?}");
    assert_eq!(http[0], "ready");
    let memcached = said(b"VERSION 1.6.18\r\n").await;
    assert_eq!(memcached.iter().filter(|said| *said == "ready").count(), 1, "{memcached:?}");
    assert_eq!(memcached[4], "ready");
    let unavailable = said(b"HTTP/1.1 503 Service Unavailable\r\n\r\n").await;
    assert!(unavailable[0].contains("503 Service Unavailable"), "{unavailable:?}");
    let postgres = said(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I").await;
    assert_eq!(postgres[1], "ready", "{postgres:?}");
}

#[tokio::test]
async fn a_closed_port_is_not_ready() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap().local_addr().unwrap().port();
    for ready in [Readiness::Tcp { port: free }, Readiness::Kafka { port: free }, Readiness::Postgres { port: free }] {
        let error = ask(ready).await.unwrap_err();
        assert!(error.contains(&format!("cannot connect to port {free}")), "{error}");
    }
    ask(Readiness::Started).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_a_silent_server_times_out() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    ask(Readiness::Tcp { port }).await.unwrap();
    let error = ask(Readiness::Memcached { port }).await.unwrap_err();
    assert_eq!(error, "it did not answer within 5 s");
}

#[tokio::test]
async fn log_lines_from_before_the_start_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("output.log");
    fs::write(&log, "listening\n").unwrap();
    let ready = Readiness::Line { text: "listening".into() };
    probe(&ready, &log, 0).await.unwrap();
    assert!(probe(&ready, &log, 10).await.unwrap_err().contains("listening"));
    fs::write(&log, "listening\nnow listening\n").unwrap();
    probe(&ready, &log, 10).await.unwrap();
}
