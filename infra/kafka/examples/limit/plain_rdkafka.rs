//! Measurement with plain rdkafka, used as in its own examples.

use std::{thread, time::Duration};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseProducer, BaseRecord, Producer},
};
use tokio::time::Instant;

use crate::{Latencies, PARTITIONS, PAYLOAD_BYTES, Pace, SteadyLoad};

fn client(servers: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", servers);
    client
}

fn consumer(servers: &str, topic: &str) -> BaseConsumer {
    let mut client = client(servers);
    client.set("group.id", "limit").set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = client.create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, i32::from(partition), Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    consumer
}

/// With the acknowledgements, linger and compression of the event log.
fn producer(servers: &str) -> BaseProducer {
    let mut client = client(servers);
    client.set("acks", "all").set("linger.ms", "0").set("compression.type", "lz4");
    client.create().unwrap()
}

fn send(producer: &BaseProducer, topic: &str, number: u64, payload: &[u8]) {
    let partition = i32::try_from(number % u64::from(PARTITIONS)).unwrap();
    let mut record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(payload);
    while let Err((_, returned)) = producer.send(record) {
        record = returned;
        producer.poll(Duration::from_millis(1));
    }
}

pub(crate) fn latency(servers: &str, topic: &str, work: SteadyLoad) -> Latencies {
    let start = Instant::now();
    let (consumer, producer) = (consumer(servers, topic), producer(servers));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut pace = Pace::new(work.rate);
            for number in 0..work.count() {
                while let Some(wait) = pace.wait() {
                    producer.poll(wait);
                }
                let mut payload = [0; PAYLOAD_BYTES];
                payload[..8].copy_from_slice(&crate::nanos(start).to_be_bytes());
                send(&producer, topic, number, &payload);
            }
            producer.flush(Duration::from_secs(10)).unwrap();
        });
        let mut latencies = Vec::new();
        while latencies.len() as u64 != work.count() {
            let record = consumer.poll(Duration::from_secs(30)).expect("a record in time").unwrap();
            let sent = u64::from_be_bytes(*record.payload().unwrap().first_chunk().unwrap());
            latencies.push(crate::nanos(start) - sent);
        }
        Latencies::of(latencies, &work)
    })
}

/// Records per second, produced and then consumed.
pub(crate) fn throughput(servers: &str, topic: &str, count: u64) -> (f64, f64) {
    let producer = producer(servers);
    let start = Instant::now();
    for number in 0..count {
        send(&producer, topic, number, &[7; PAYLOAD_BYTES]);
        if number.is_multiple_of(1_000) {
            producer.poll(Duration::ZERO);
        }
    }
    producer.flush(Duration::from_secs(60)).unwrap();
    let produced = crate::per_second(count, start);
    let consumer = consumer(servers, topic);
    let start = Instant::now();
    for _ in 0..count {
        consumer.poll(Duration::from_secs(30)).expect("a record in time").unwrap();
    }
    (produced, crate::per_second(count, start))
}
