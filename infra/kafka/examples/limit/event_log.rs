//! Measurement through the event log port.

use std::{sync::Arc, time::Duration};

use diptych_kafka::KafkaEventLog;
use diptych_kernel::{
    EventMetadata, Partition, Position, RecordedEvent, RequestId, StreamId, Timestamp, Version,
    ports::{Consumer, EventLog, LogEntry, LogSignal},
};
use tokio::time::Instant;

use crate::{Latencies, PARTITIONS, PAYLOAD_BYTES, Pace, SteadyLoad};

/// Entries per append at full speed, as of a relay that is behind.
const ENTRIES_PER_APPEND: u64 = 2_000;
const APPENDS_IN_FLIGHT: usize = 4;

fn entry(number: u64, payload: &[u8]) -> LogEntry {
    LogEntry::Event(RecordedEvent {
        position: Position::from_i64(i64::try_from(number + 1).unwrap()).unwrap(),
        partition: Partition::new(u16::try_from(number % u64::from(PARTITIONS)).unwrap()),
        stream_id: StreamId::new(&format!("stream-{}", number % 1_000)).unwrap(),
        version: Version::new(u32::try_from(number / 1_000 + 1).unwrap()),
        event_type: "limit.v1.Happened".into(),
        payload: payload.to_vec().into(),
        metadata: EventMetadata { traceparent: None },
        request_id: RequestId::from_bytes(u128::from(number).to_be_bytes()),
        recorded_at: Timestamp::from_micros(1_764_151_445_000_000),
    })
}

/// Returns the next records. Starts assigned partitions, and then returns none.
async fn records(consumer: &mut impl Consumer) -> Vec<diptych_kernel::ports::LogRecord> {
    loop {
        match consumer.poll(1_000, Duration::from_secs(30)).await.unwrap() {
            LogSignal::Records(records) => return records,
            LogSignal::Assigned(assignments) => {
                for assignment in assignments {
                    consumer.seek(assignment.partition, assignment.committed).await.unwrap();
                }
                return Vec::new();
            }
            LogSignal::Revoked(..) => {}
            LogSignal::Idle => panic!("timed out waiting for a record"),
        }
    }
}

pub(crate) async fn latency(log: &Arc<KafkaEventLog>, work: SteadyLoad) -> Latencies {
    let mut consumer = log.join("limit-latency", "ada").await.unwrap();
    // Wait for the partitions, and start the producer.
    while !records(&mut consumer).await.is_empty() {}
    log.append(&[entry(0, &[0; PAYLOAD_BYTES])]).await.unwrap();
    while records(&mut consumer).await.is_empty() {}
    let start = Instant::now();
    let writing = async {
        let mut pace = Pace::new(work.rate);
        let mut number = 0;
        // As the relay does: the entries that are due since the last append form the next one.
        while number < work.count() {
            if let Some(wait) = pace.wait() {
                tokio::time::sleep(wait).await;
                continue;
            }
            let mut entries = Vec::new();
            loop {
                let mut payload = [0; PAYLOAD_BYTES];
                payload[..8].copy_from_slice(&crate::nanos(start).to_be_bytes());
                entries.push(entry(number, &payload));
                number += 1;
                if number == work.count() || pace.wait().is_some() {
                    break;
                }
            }
            log.append(&entries).await.unwrap();
        }
    };
    let reading = async {
        let mut latencies = Vec::new();
        while latencies.len() as u64 != work.count() {
            for record in records(&mut consumer).await {
                let LogEntry::Event(event) = record.entry else { continue };
                let sent = u64::from_be_bytes(*event.payload.first_chunk().unwrap());
                latencies.push(crate::nanos(start) - sent);
            }
        }
        latencies
    };
    let ((), latencies) = tokio::join!(writing, reading);
    Latencies::of(latencies, &work)
}

pub(crate) async fn throughput(log: &Arc<KafkaEventLog>, count: u64) -> (f64, f64) {
    use futures::StreamExt;
    // Start the producer.
    log.append(&[entry(0, &[7; PAYLOAD_BYTES])]).await.unwrap();
    let start = Instant::now();
    futures::stream::iter((1..count).step_by(usize::try_from(ENTRIES_PER_APPEND).unwrap()))
        .map(|first| async move {
            let entries: Vec<_> = (first..(first + ENTRIES_PER_APPEND).min(count))
                .map(|number| entry(number, &[7; PAYLOAD_BYTES]))
                .collect();
            log.append(&entries).await.unwrap();
        })
        .buffered(APPENDS_IN_FLIGHT)
        .collect::<()>()
        .await;
    let produced = crate::per_second(count, start);
    let mut consumer = log.join("limit-throughput", "ada").await.unwrap();
    while !records(&mut consumer).await.is_empty() {}
    let start = Instant::now();
    let mut read = 0;
    while read < count {
        read += records(&mut consumer).await.len() as u64;
    }
    (produced, crate::per_second(count, start))
}
