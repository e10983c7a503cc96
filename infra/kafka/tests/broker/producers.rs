//! Many records, and several writers.

use diptych_kernel::ports::{Effect, EventLog, LogEntry, Remedy};
use futures::future::join;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
};

use crate::harness;

#[tokio::test]
async fn two_writers_keep_their_order() {
    let Some(servers) = harness::servers() else { return };
    let config = harness::config(&servers);
    let (one, other) = (harness::open(&config).await, harness::open(&config).await);
    let write = async |log: &diptych_kafka::KafkaEventLog, first: i64| {
        for batch in 0..20 {
            let entries: Vec<_> = (0..25)
                .map(|number| harness::event(u16::try_from(number % 4).unwrap(), first + batch * 25 + number))
                .collect();
            log.append(&entries).await.unwrap();
        }
    };
    join(write(&one, 1), write(&other, 10_001)).await;
    let all = harness::read_all(&one).await;
    assert_eq!(all.iter().map(Vec::len).sum::<usize>(), 1_000);
    for entries in all {
        for is_of_one in [true, false] {
            let positions =
                entries.iter().map(harness::position_of).filter(|found| (found.as_i64() < 10_000) == is_of_one);
            assert!(positions.is_sorted_by(|one, next| one < next), "in the order of its own appends, without repeats");
        }
    }
}

#[tokio::test]
async fn an_append_larger_than_the_queue_waits_for_room() {
    let Some(servers) = harness::servers() else { return };
    let mut config = harness::config(&servers);
    config.queue_records_max = 50;
    let log = harness::open(&config).await;
    let entries: Vec<_> =
        (1..=5_000).map(|number| harness::event(u16::try_from(number % 4).unwrap(), number)).collect();
    log.append(&entries).await.unwrap();
    for (partition, read) in harness::read_all(&log).await.into_iter().enumerate() {
        let expected: Vec<_> = entries.iter().filter(|entry| entry.partition().index() == partition).cloned().collect();
        assert_eq!(read, expected);
    }
}

#[tokio::test]
async fn an_entry_that_can_never_be_stored_fails_the_append_before_any_is_sent() {
    let Some(servers) = harness::servers() else { return };
    let mut config = harness::config(&servers);
    config.record_bytes_max = 10_000;
    let log = harness::open(&config).await;
    let LogEntry::Event(mut large) = harness::event(1, 71) else { panic!("an event was made") };
    large.payload = vec![7; 10_000].into();
    let mut elsewhere = large.clone();
    elsewhere.partition = diptych_kernel::Partition::new(harness::PARTITIONS);
    for (refused, part) in
        [(large, "record_bytes_max is 10000"), (elsewhere, "has 4 partitions, so there is no partition 4")]
    {
        let error = log.append(&[harness::event(1, 70), LogEntry::Event(refused)]).await.unwrap_err();
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Operator));
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(log.ends().await.unwrap().iter().all(|end| end.next_offset.0 == 0));
}

/// Lowers the brokers' limit of record sizes, below the appender's.
async fn set_max_message_bytes(servers: &str, topic: &str, bytes_max: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set("max.message.bytes", bytes_max);
    admin.alter_configs([&change], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
}

#[tokio::test]
async fn no_record_overtakes_one_that_the_brokers_refuse() {
    let Some(servers) = harness::servers() else { return };
    let mut config = harness::config(&servers);
    // Each record is a request of its own, and several are in flight at a time.
    config.extra.insert("batch.num.messages".into(), "1".into());
    config.extra.insert("compression.type".into(), "none".into());
    let log = harness::open(&config).await;
    set_max_message_bytes(&servers, &config.topic, "20000").await;
    let mut entries: Vec<_> =
        (1..=200).map(|number| harness::event(u16::try_from(number % 4).unwrap(), number)).collect();
    let LogEntry::Event(refused) = &mut entries[99] else { panic!("an event was made") };
    let refused_partition = refused.partition.index();
    refused.payload = vec![7; 40_000].into();
    let error = log.append(&entries).await.unwrap_err();
    assert!(error.to_string().contains("max.message.bytes"), "{error}");
    for (partition, read) in harness::read_all(&log).await.into_iter().enumerate() {
        let expected: Vec<_> = entries.iter().filter(|entry| entry.partition().index() == partition).collect();
        assert!(read.iter().zip(&expected).all(|(read, expected)| read == *expected), "partition {partition}");
        assert!(partition != refused_partition || read.len() <= 24, "no record behind the refused one is stored");
    }
    // The log goes on with a new producer.
    log.append(&[harness::event(1, 1_000)]).await.unwrap();
    assert_eq!(log.ends().await.unwrap()[1].last_event, Some(harness::identity(1_000)));
}

#[tokio::test]
async fn a_cancelled_append_leaves_the_log_usable() {
    let Some(servers) = harness::servers() else { return };
    let log = harness::open(&harness::config(&servers)).await;
    let entries: Vec<_> = (1..=2_000).map(|number| harness::event(1, number)).collect();
    log.append(&entries[..1]).await.unwrap();
    for _ in 0..20 {
        let dropped = tokio::time::timeout(std::time::Duration::from_micros(300), log.append(&entries[1..])).await;
        if dropped.is_ok() {
            break;
        }
    }
    log.append(&[harness::event(1, 3_000)]).await.unwrap();
    let read = &harness::read_all(&log).await[1];
    assert_eq!(read.last().map(harness::position_of), Some(harness::position(3_000)));
    // Each attempt has stored a prefix, one attempt after another.
    let mut expected = 2;
    for entry in &read[1..read.len() - 1] {
        let position = harness::position_of(entry).as_i64();
        assert!(position == expected || position == 2, "{position} follows {}", expected - 1);
        expected = position + 1;
    }
}
