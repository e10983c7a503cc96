//! Many records, and more than one writer.

use diptych_kernel::ports::{Effect, EventLog, LogEntry, Remedy};
use futures::future::join;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
    client::DefaultClientContext,
};

use crate::site;

#[tokio::test]
async fn two_writers_keep_their_order() {
    let Some(servers) = site::servers() else { return };
    let config = site::config(&servers);
    let (one, other) = (site::open(&config).await, site::open(&config).await);
    let write = async |log: &diptych_kafka::KafkaEventLog, first: i64| {
        for piece in 0..20 {
            let entries: Vec<_> = (0..25)
                .map(|number| site::event(u16::try_from(number % 4).unwrap(), first + piece * 25 + number))
                .collect();
            log.append(&entries).await.unwrap();
        }
    };
    join(write(&one, 1), write(&other, 10_001)).await;
    let all = site::read_all(&one).await;
    assert_eq!(all.iter().map(Vec::len).sum::<usize>(), 1_000);
    for entries in all {
        for is_of_one in [true, false] {
            let positions = entries.iter().map(site::position).filter(|at| (at.as_i64() < 10_000) == is_of_one);
            assert!(positions.is_sorted_by(|one, next| one < next), "in the order of its own appends, none twice");
        }
    }
}

#[tokio::test]
async fn an_append_larger_than_the_queue_waits_for_room() {
    let Some(servers) = site::servers() else { return };
    let mut config = site::config(&servers);
    config.queue_records_max = 50;
    let log = site::open(&config).await;
    let entries: Vec<_> = (1..=5_000).map(|number| site::event(u16::try_from(number % 4).unwrap(), number)).collect();
    log.append(&entries).await.unwrap();
    for (partition, read) in site::read_all(&log).await.into_iter().enumerate() {
        let expected: Vec<_> = entries.iter().filter(|entry| entry.partition().index() == partition).cloned().collect();
        assert_eq!(read, expected);
    }
}

#[tokio::test]
async fn what_can_never_be_put_there_is_refused_before_anything_is() {
    let Some(servers) = site::servers() else { return };
    let mut config = site::config(&servers);
    config.record_bytes_max = 10_000;
    let log = site::open(&config).await;
    let LogEntry::Event(mut large) = site::event(1, 71) else { panic!("an event was made") };
    large.payload = vec![7; 10_000].into();
    let mut elsewhere = large.clone();
    elsewhere.partition = diptych_kernel::Partition::new(site::PARTITIONS);
    for (refused, part) in [(large, "record_bytes_max is 10000"), (elsewhere, "has 4 partitions, none 4")] {
        let error = log.append(&[site::event(1, 70), LogEntry::Event(refused)]).await.unwrap_err();
        assert_eq!((error.effect(), error.remedy()), (Effect::None, Remedy::Operator));
        assert!(error.to_string().contains(part), "{error}");
    }
    assert!(log.ends().await.unwrap().iter().all(|end| end.next_offset.0 == 0));
}

/// The brokers take smaller records than the appender was told.
async fn limit_records(servers: &str, topic: &str, bytes_max: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", servers).create().unwrap();
    let change = AlterConfig::new(ResourceSpecifier::Topic(topic)).set("max.message.bytes", bytes_max);
    admin.alter_configs([&change], &AdminOptions::new()).await.unwrap().remove(0).unwrap();
}

#[tokio::test]
async fn nothing_overtakes_a_record_that_the_brokers_refuse() {
    let Some(servers) = site::servers() else { return };
    let mut config = site::config(&servers);
    // Each record is a request of its own, several of them on their way at a time.
    config.extra.insert("batch.num.messages".into(), "1".into());
    config.extra.insert("compression.type".into(), "none".into());
    let log = site::open(&config).await;
    limit_records(&servers, &config.topic, "20000").await;
    let mut entries: Vec<_> = (1..=200).map(|number| site::event(u16::try_from(number % 4).unwrap(), number)).collect();
    let LogEntry::Event(refused) = &mut entries[99] else { panic!("an event was made") };
    let refused_partition = refused.partition.index();
    refused.payload = vec![7; 40_000].into();
    let error = log.append(&entries).await.unwrap_err();
    assert!(error.to_string().contains("max.message.bytes"), "{error}");
    for (partition, read) in site::read_all(&log).await.into_iter().enumerate() {
        let expected: Vec<_> = entries.iter().filter(|entry| entry.partition().index() == partition).collect();
        assert!(read.iter().zip(&expected).all(|(read, expected)| read == *expected), "partition {partition}");
        assert!(partition != refused_partition || read.len() <= 24, "nothing behind the refused record is there");
    }
    // The log goes on with a new producer.
    log.append(&[site::event(1, 1_000)]).await.unwrap();
    assert_eq!(log.ends().await.unwrap()[1].last_event, Some(site::at(1_000)));
}

#[tokio::test]
async fn an_append_that_nobody_waits_for_leaves_the_log_usable() {
    let Some(servers) = site::servers() else { return };
    let log = site::open(&site::config(&servers)).await;
    let entries: Vec<_> = (1..=2_000).map(|number| site::event(1, number)).collect();
    log.append(&entries[..1]).await.unwrap();
    for _ in 0..20 {
        let dropped = tokio::time::timeout(std::time::Duration::from_micros(300), log.append(&entries[1..])).await;
        if dropped.is_ok() {
            break;
        }
    }
    log.append(&[site::event(1, 3_000)]).await.unwrap();
    let read = &site::read_all(&log).await[1];
    assert_eq!(read.last().map(site::position), Some(site::at(3_000)));
    // Each attempt has put a first part there, one attempt after another.
    let mut expected = 2;
    for entry in &read[1..read.len() - 1] {
        let position = site::position(entry).as_i64();
        assert!(position == expected || position == 2, "{position} follows {}", expected - 1);
        expected = position + 1;
    }
}
