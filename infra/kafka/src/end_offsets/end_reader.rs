//! Reads the records that the searches ask for, in all partitions at the same time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use diptych_kernel::{
    EventIdentity, Partition, Partitions,
    ports::{Offset, PartitionEnd, PortError, PortResult},
};
use rdkafka::{
    Offset as KafkaOffset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::time::Instant;

use super::{
    last_event_search::{LastEventSearch, SearchStep},
    tail_summaries::TailSummaries,
};
use crate::{
    client_config,
    client_context::PlainContext,
    config::KafkaConfig,
    error::{self, not_done, unreadable_record},
    record::{RecordSummary, TailSummary, partition_and_offset, summarize},
};

/// Reads the end of every partition, and records what it found in `tails`. A partition that has lost its end is
/// reported without the records behind the loss. Blocks for at most about three times [`KafkaConfig::request_timeout`].
pub(crate) fn read_ends(
    config: &KafkaConfig,
    partitions: Partitions,
    tails: &TailSummaries,
) -> PortResult<Vec<PartitionEnd>> {
    let consumer = client_config::end_reader(config)
        .create_with_context(PlainContext::default())
        .map_err(error::client_creation)?;
    let mut reader = EndReader { config, consumer, searches: BTreeMap::new() };
    // The starts first: a record that arrives in between makes a partition longer, not inconsistent.
    let starts = reader.offsets(partitions, KafkaOffset::Beginning)?;
    let ends = reader.offsets(partitions, KafkaOffset::End)?;
    let complete_ends: Vec<u64> = partitions
        .iter()
        .zip(&ends)
        .map(|(partition, end)| tails.lost_from(partition).map_or(*end, |lost_from| lost_from.min(*end)))
        .collect();
    for (partition, (start, end)) in partitions.iter().zip(starts.into_iter().zip(&complete_ends)) {
        reader.searches.insert(partition, LastEventSearch::new(start, *end));
    }
    let last_events = reader.run();
    // Destroying the consumer takes a tenth of a second, so the caller does not wait for it.
    drop(tokio::task::spawn_blocking(move || drop(reader.consumer)));
    let last_events = last_events?;
    let end_of = |(partition, (end, complete_end)): (Partition, (u64, u64))| {
        let last_event = last_events.get(&partition).copied().flatten();
        tails.record_end(partition, end, TailSummary { end_exclusive: complete_end, last_event });
        PartitionEnd { next_offset: Offset(complete_end), last_event: last_event.map(|(_, event)| event) }
    };
    Ok(partitions.iter().zip(ends.into_iter().zip(complete_ends)).map(end_of).collect())
}

/// The last event of each partition and its offset; `None` if it has no event.
type LastEvents = BTreeMap<Partition, Option<(u64, EventIdentity)>>;

struct EndReader<'a> {
    config: &'a KafkaConfig,
    consumer: BaseConsumer<PlainContext>,
    /// Searches that are not finished.
    searches: BTreeMap<Partition, LastEventSearch>,
}

impl EndReader<'_> {
    /// Returns the first or the next offset of every partition.
    fn offsets(&self, partitions: Partitions, which: KafkaOffset) -> PortResult<Vec<u64>> {
        let KafkaConfig { topic, request_timeout, .. } = self.config;
        let what = || self.failed_to("look up the offsets");
        let mut request = TopicPartitionList::with_capacity(usize::from(partitions.count()));
        for partition in partitions.iter() {
            request.add_partition_offset(topic, i32::from(partition.number()), which).map_err(error::partition_list)?;
        }
        // The protocol's special numbers for the first and the next offset are valid timestamps here, so that one
        // request per leader covers all of its partitions.
        let response =
            self.consumer.offsets_for_times(request, *request_timeout).map_err(|error| not_done(what(), error))?;
        partitions
            .iter()
            .map(|partition| {
                let element = response.find_partition(topic, i32::from(partition.number()));
                let element = element
                    .ok_or_else(|| PortError::not_done(format!("{}: no answer for partition {partition}", what())))?;
                element.error().map_err(|error| not_done(what(), error))?;
                let offset = match element.offset() {
                    KafkaOffset::Offset(offset) => u64::try_from(offset).ok(),
                    _ => None,
                };
                let invalid = || format!("{}: invalid offset {:?} of partition {partition}", what(), element.offset());
                offset.ok_or_else(|| PortError::not_done(invalid()))
            })
            .collect()
    }

    /// Reads until every search is finished.
    fn run(&mut self) -> PortResult<LastEvents> {
        let mut last_events = LastEvents::new();
        loop {
            let mut assignment = TopicPartitionList::with_capacity(self.searches.len());
            let mut failure = None;
            self.searches.retain(|partition, search| match search.next_step() {
                SearchStep::Done(last_event) => {
                    last_events.insert(*partition, last_event);
                    false
                }
                SearchStep::ReadFrom(start) => {
                    let start = KafkaOffset::Offset(i64::try_from(start).unwrap_or(i64::MAX));
                    let added =
                        assignment.add_partition_offset(&self.config.topic, i32::from(partition.number()), start);
                    failure = failure.take().or(added.err());
                    true
                }
            });
            if let Some(error) = failure {
                return Err(error::partition_list(error));
            }
            if self.searches.is_empty() {
                return Ok(last_events);
            }
            self.consumer
                .assign(&assignment)
                .map_err(|error| not_done(self.failed_to("read the ends of the partitions"), error))?;
            // Of each range by itself: behind many records that a restore lost, there are many.
            self.read_ranges(Instant::now() + self.config.request_timeout)?;
        }
    }

    /// Reads until the current range of every search is complete.
    fn read_ranges(&mut self, deadline: Instant) -> PortResult<()> {
        let what = "read the ends of the partitions";
        let mut incomplete: BTreeSet<Partition> = self.searches.keys().copied().collect();
        while !incomplete.is_empty() {
            let remaining = deadline.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                let (first, count) = (incomplete.first().copied().unwrap_or_default(), incomplete.len());
                return Err(PortError::not_done(format!(
                    "{}: {count} partitions, among them {first}, were not read within {:?}",
                    self.failed_to(what),
                    self.config.request_timeout
                )));
            }
            match self.consumer.poll(remaining.min(Duration::from_millis(100))) {
                None => {}
                Some(Ok(record)) => {
                    let Some((partition, offset)) = partition_and_offset(&record) else { continue };
                    let Some(search) = self.searches.get_mut(&partition) else { continue };
                    let summary = summarize(&record, self.config.history.as_ref());
                    if let RecordSummary::Unreadable(reason) = summary {
                        return Err(unreadable_record(&self.config.topic, partition, offset, &reason));
                    }
                    search.observe(offset, &summary);
                    if offset + 1 >= search.range().end {
                        incomplete.remove(&partition);
                    }
                }
                // The last offset may hold no record, such as the marker of another program's transaction.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    if let Ok(partition) = u16::try_from(partition) {
                        incomplete.remove(&Partition::new(partition));
                    }
                }
                Some(Err(error)) if is_retried_by_librdkafka(&error) => {}
                Some(Err(error)) => return Err(not_done(self.failed_to(what), error)),
            }
        }
        Ok(())
    }

    fn failed_to(&self, what: &str) -> String {
        let KafkaConfig { topic, bootstrap_servers, .. } = self.config;
        format!("cannot {what} of topic {topic} at {bootstrap_servers} (kafka.bootstrap_servers)")
    }
}

fn is_retried_by_librdkafka(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        error.rdkafka_error_code(),
        Some(Code::AllBrokersDown | Code::BrokerTransportFailure | Code::Resolve | Code::OperationTimedOut)
    )
}
