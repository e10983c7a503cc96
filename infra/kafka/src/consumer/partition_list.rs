//! Partition lists as librdkafka takes them.

use diptych_kernel::{
    Partition,
    ports::{Offset, PortResult},
};
use rdkafka::{Offset as KafkaOffset, TopicPartitionList};

use crate::error;

/// Partitions of the topic, without offsets.
pub(super) fn partition_list(topic: &str, partitions: &[Partition]) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        list.add_partition(topic, i32::from(partition.number()));
    }
    list
}

/// Partitions of the topic, each with an offset.
pub(super) fn partition_list_with_offsets(
    topic: &str,
    offsets: &[(Partition, Offset)],
) -> PortResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(offsets.len());
    for (partition, offset) in offsets {
        let next = KafkaOffset::Offset(i64::try_from(offset.0).unwrap_or(-1));
        list.add_partition_offset(topic, i32::from(partition.number()), next).map_err(error::partition_list)?;
    }
    Ok(list)
}
