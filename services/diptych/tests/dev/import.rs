//! `import` of input that is read once, and of rows that the ledger would refuse.

use std::{
    io::Write,
    path::Path,
    process::{Output, Stdio},
};

use super::{
    calls::{account, channel},
    process::{Dev, diptych, ended},
};

fn sample() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/sample-transactions.csv")).unwrap()
}

/// Imports these bytes from standard input, which is a pipe.
fn import_from_pipe(dev: &Dev, bytes: &[u8]) -> Output {
    let mut command = diptych(&["import", "-", "--to", &dev.url(), "--timeout", "60"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_pipe_is_imported() {
    let dev = Dev::start(&[]);
    let (status, out, errors) = ended(import_from_pipe(&dev, &sample()));
    assert_eq!(status, 0, "{out}{errors}");
    assert!(out.contains("the ledger matches the file"), "{out}");
}

#[tokio::test]
async fn a_row_that_the_ledger_would_refuse_is_found_before_anything_is_sent() {
    let dev = Dev::start(&[]);
    let mut bytes = sample();
    bytes.extend_from_slice(b"late,new-account,0000-01-01,50,50,cash_deposit,,,\n");
    let (status, out, errors) = ended(import_from_pipe(&dev, &bytes));
    assert_eq!((status, out.as_str()), (2, ""), "{errors}");
    assert!(
        errors.contains("value_date: \"0000-01-01\" is invalid") && errors.contains("nothing was sent"),
        "{errors}"
    );
    let first_account =
        String::from_utf8(sample()).unwrap().lines().nth(1).unwrap().split(',').nth(1).unwrap().to_owned();
    let status = account(&channel(&dev).await, &first_account, None).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::NotFound);
}
