//! Requests by curl.

use std::process::Command;

/// A response.
#[derive(Debug)]
pub(crate) struct HttpResponse {
    /// The HTTP status; 0 if there was no response.
    pub(crate) status: u16,
    headers: String,
    pub(crate) body: String,
    pub(crate) bytes: Vec<u8>,
}

impl HttpResponse {
    /// The value of a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        serde_json::from_str(&self.body).unwrap()
    }
}

/// Runs curl. If the server cannot be reached, the response has status 0.
pub(crate) fn curl(args: &[&str]) -> HttpResponse {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let out = Command::new("curl")
        .args(["--silent", "--path-as-is", "--max-time", "30", "--write-out", "%{http_code}"])
        .args(["--dump-header", &path("headers"), "--output", &path("body")])
        // Do not wait for `100 Continue` before a large body.
        .args(["--header", "expect:"])
        .args(args)
        .output()
        .unwrap();
    let bytes = std::fs::read(path("body")).unwrap_or_default();
    HttpResponse {
        status: String::from_utf8(out.stdout).unwrap().parse().unwrap(),
        headers: std::fs::read_to_string(path("headers")).unwrap_or_default(),
        body: String::from_utf8_lossy(&bytes).into_owned(),
        bytes,
    }
}
