//! Kafka probe: a metadata request. A starting broker answers before it has joined its cluster; its answer then lists
//! no broker.

use super::{
    connect::connect,
    protocol::{Reader, length, receive, receive_bytes, send},
};

const METADATA: i16 = 3;
/// Version 1: the oldest that includes the controller; every broker supports it.
const METADATA_VERSION: i16 = 1;
const CORRELATION: i32 = 7;

pub(super) async fn probe(port: u16) -> Result<(), String> {
    let mut stream = connect(port).await?;
    send(&mut stream, &request()).await?;
    let length = length(receive(&mut stream).await?)?;
    check_metadata(&receive_bytes(&mut stream, length).await?)
}

fn request() -> Vec<u8> {
    let client = b"diptych-stack";
    let mut body = Vec::new();
    body.extend(METADATA.to_be_bytes());
    body.extend(METADATA_VERSION.to_be_bytes());
    body.extend(CORRELATION.to_be_bytes());
    body.extend(u16::try_from(client.len()).unwrap_or(0).to_be_bytes());
    body.extend(client);
    // No topics.
    body.extend(0_i32.to_be_bytes());
    [&u32::try_from(body.len()).unwrap_or(0).to_be_bytes()[..], &body].concat()
}

fn check_metadata(answer: &[u8]) -> Result<(), String> {
    let mut answer = Reader(answer);
    if answer.int32()? != CORRELATION {
        return Err("the answer has another correlation id: another server listens there".to_owned());
    }
    let brokers = answer.int32()?;
    for _ in 0..brokers {
        let _node_id = answer.int32()?;
        answer.skip_text()?; // host
        let _port = answer.int32()?;
        answer.skip_text()?; // rack
    }
    match (brokers, answer.int32()?) {
        (..=0, _) => Err("the broker has not joined its cluster yet".to_owned()),
        (_, ..0) => Err("the cluster has no controller yet".to_owned()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(brokers: i32, controller: i32) -> Vec<u8> {
        let mut bytes = CORRELATION.to_be_bytes().to_vec();
        bytes.extend(brokers.to_be_bytes());
        for _ in 0..brokers {
            bytes.extend(1_i32.to_be_bytes());
            bytes.extend(b"\0\x09127.0.0.1");
            bytes.extend(9_092_i32.to_be_bytes());
            bytes.extend((-1_i16).to_be_bytes());
        }
        bytes.extend(controller.to_be_bytes());
        bytes
    }

    #[test]
    fn a_broker_in_a_cluster_with_a_controller_is_ready() {
        check_metadata(&answer(1, 1)).unwrap();
        check_metadata(&answer(3, 2)).unwrap();
        assert!(check_metadata(&answer(0, 1)).unwrap_err().contains("not joined its cluster"));
        assert!(check_metadata(&answer(1, -1)).unwrap_err().contains("no controller"));
        assert!(check_metadata(&answer(1, 1)[..20]).unwrap_err().contains("cut off"));
        assert!(check_metadata(b"\0\0\0\0\0\0\0\0").unwrap_err().contains("another server"));
    }
}
