//! `diptych envoy drain`, beside a stand-in for Envoy's administration. infra/envoy tests what a real one does then.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    process::{Child, Stdio},
    thread,
};

use crate::process::{diptych, kill};

/// Starts the program, and waits until it handles signals.
fn start(admin: &str) -> Child {
    let mut command = diptych(&["envoy", "drain", "--admin", admin]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, format!("waiting for SIGTERM; then the Envoy at {admin} is drained\n"));
    child
}

/// Sends SIGTERM; returns the exit status and standard error.
fn stop(mut child: Child) -> (i32, String) {
    kill(child.id(), "TERM");
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    (child.wait().unwrap().code().unwrap(), errors)
}

#[test]
fn envoy_is_drained_on_a_signal() {
    for (answer, status, message) in [("200 OK", 0, ""), ("403 Forbidden", 1, "\"HTTP/1.1 403 Forbidden\"")] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let admin = listener.local_addr().unwrap().to_string();
        let child = start(&admin);
        let envoy = thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let lines = BufReader::new(connection.try_clone().unwrap()).lines().map(Result::unwrap);
            let head: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
            write!(connection, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\n\r\n").unwrap();
            head
        });
        let (exit_status, errors) = stop(child);
        assert_eq!(exit_status, status, "{errors}");
        assert!(errors.contains(message), "{errors}");
        assert_eq!(envoy.join().unwrap()[0], "POST /healthcheck/fail HTTP/1.1");
    }
}

#[test]
fn an_envoy_that_is_not_there_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (status, errors) = stop(start(&free));
    assert_eq!(status, 1);
    assert!(errors.contains(&free) && errors.contains("--admin"), "{errors}");
}
