//! Reads what the searches ask for, of all partitions at the same time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use diptych_kernel::{
    Partition, Partitions, Position,
    ports::{Offset, PartitionEnd, PortError, PortResult},
};
use rdkafka::{
    Message, Offset as KafkaOffset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::time::Instant;

use super::{
    Tails,
    search::{Next, Search},
};
use crate::{
    client,
    config::KafkaConfig,
    context::PlainContext,
    error::{self, not_done},
    record::{Glimpse, Tail, glimpse},
};

/// Looks at the ends of all partitions, and lets `tails` know. Waits for the brokers, at most about three times
/// [`KafkaConfig::answer_wait_max`].
pub(crate) fn read_ends(config: &KafkaConfig, partitions: Partitions, tails: &Tails) -> PortResult<Vec<PartitionEnd>> {
    let consumer = client::reader(config).create_with_context(PlainContext::default()).map_err(error::client)?;
    let mut reader = Reader { config, consumer, searches: BTreeMap::new() };
    // The starts first: a record that comes in between makes a partition longer, not inconsistent.
    let starts = reader.offsets(partitions, KafkaOffset::Beginning)?;
    let ends = reader.offsets(partitions, KafkaOffset::End)?;
    for (partition, (start, end)) in partitions.iter().zip(starts.into_iter().zip(&ends)) {
        reader.searches.insert(partition, Search::new(start, *end));
    }
    let found = reader.run();
    // Its end takes a tenth of a second, which nobody has to wait for.
    drop(tokio::task::spawn_blocking(move || drop(reader.consumer)));
    let found = found?;
    let end_of = |(partition, end): (Partition, u64)| {
        let last_event = found.get(&partition).copied().flatten();
        tails.found(partition, Tail { below: end, last_event });
        PartitionEnd { next_offset: Offset(end), last_event: last_event.map(|(_, position)| position) }
    };
    Ok(partitions.iter().zip(ends).map(end_of).collect())
}

type Found = BTreeMap<Partition, Option<(u64, Position)>>;

struct Reader<'a> {
    config: &'a KafkaConfig,
    consumer: BaseConsumer<PlainContext>,
    /// Those that go on.
    searches: BTreeMap<Partition, Search>,
}

impl Reader<'_> {
    /// The first or the next offset of every partition.
    fn offsets(&self, partitions: Partitions, which: KafkaOffset) -> PortResult<Vec<u64>> {
        let KafkaConfig { topic, bootstrap_servers, answer_wait_max, .. } = self.config;
        let what = || format!("the ends of topic {topic} cannot be looked up at {bootstrap_servers}");
        let mut asked = TopicPartitionList::with_capacity(usize::from(partitions.count()));
        for partition in partitions.iter() {
            asked.add_partition_offset(topic, i32::from(partition.number()), which).map_err(error::partition_list)?;
        }
        // The protocol's own numbers for the first and the next offset pass for times, so that one request per leader has them all.
        let answer =
            self.consumer.offsets_for_times(asked, *answer_wait_max).map_err(|error| not_done(what(), error))?;
        partitions
            .iter()
            .map(|partition| {
                let element = answer.find_partition(topic, i32::from(partition.number()));
                let element =
                    element.ok_or_else(|| PortError::not_done(format!("{}: none for {partition}", what())))?;
                element.error().map_err(|error| not_done(what(), error))?;
                let offset = match element.offset() {
                    KafkaOffset::Offset(offset) => u64::try_from(offset).ok(),
                    _ => None,
                };
                let unclear = || format!("{}: partition {partition} is at {:?}", what(), element.offset());
                offset.ok_or_else(|| PortError::not_done(unclear()))
            })
            .collect()
    }

    /// Looks until every search has ended.
    fn run(&mut self) -> PortResult<Found> {
        let deadline = Instant::now() + self.config.answer_wait_max;
        let mut found = Found::new();
        loop {
            let mut looks = TopicPartitionList::with_capacity(self.searches.len());
            let mut failure = None;
            self.searches.retain(|partition, search| match search.next() {
                Next::Found(last_event) => {
                    found.insert(*partition, last_event);
                    false
                }
                Next::LookFrom(from) => {
                    let from = KafkaOffset::Offset(i64::try_from(from).unwrap_or(i64::MAX));
                    let added = looks.add_partition_offset(&self.config.topic, i32::from(partition.number()), from);
                    failure = failure.take().or(added.err());
                    true
                }
            });
            if let Some(error) = failure {
                return Err(error::partition_list(error));
            }
            if self.searches.is_empty() {
                return Ok(found);
            }
            self.consumer.assign(&looks).map_err(|error| not_done(self.what(), error))?;
            self.look(deadline)?;
        }
    }

    /// Reads until every look is over.
    fn look(&mut self, deadline: Instant) -> PortResult<()> {
        let mut looking: BTreeSet<Partition> = self.searches.keys().copied().collect();
        while !looking.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let (first, count) = (looking.first().copied().unwrap_or_default(), looking.len());
                return Err(PortError::not_done(format!(
                    "{}: {count} partitions, {first} among them, were not read within {:?}",
                    self.what(),
                    self.config.answer_wait_max
                )));
            }
            match self.consumer.poll(left.min(Duration::from_millis(100))) {
                None => {}
                Some(Ok(record)) => {
                    let Some((partition, offset)) = place(&record) else { continue };
                    let Some(search) = self.searches.get_mut(&partition) else { continue };
                    let glimpse = glimpse(&record);
                    if let Glimpse::Garbled(why) = glimpse {
                        return Err(garbled(&self.config.topic, partition, offset, &why));
                    }
                    search.see(offset, &glimpse);
                    if offset + 1 >= search.look().1 {
                        looking.remove(&partition);
                    }
                }
                // What stands at the end is no record, such as the marker of a stranger's transaction.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    if let Ok(partition) = u16::try_from(partition) {
                        looking.remove(&Partition::new(partition));
                    }
                }
                Some(Err(error)) if is_passing(&error) => {}
                Some(Err(error)) => return Err(not_done(self.what(), error)),
            }
        }
        Ok(())
    }

    fn what(&self) -> String {
        format!("the ends of topic {} cannot be read at {}", self.config.topic, self.config.bootstrap_servers)
    }
}

/// A record of ours that cannot be read.
pub(crate) fn garbled(topic: &str, partition: Partition, offset: u64, why: &str) -> PortError {
    PortError::operator(format!(
        "the record at offset {offset} of partition {partition} of topic {topic} cannot be read: {why}; another program writes to the \
         topic, or it is damaged"
    ))
}

/// The partition and the offset of a record; `None` where they cannot be ours.
pub(crate) fn place(record: &impl Message) -> Option<(Partition, u64)> {
    let partition = Partition::new(u16::try_from(record.partition()).ok()?);
    Some((partition, u64::try_from(record.offset()).ok()?))
}

/// What librdkafka reports and tries again by itself.
fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve | Code::OperationTimedOut)
    )
}
