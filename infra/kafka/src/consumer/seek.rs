//! Start of a partition at an offset.

use diptych_kernel::{
    Partition,
    ports::{Offset, PortError, PortResult},
};
use rdkafka::{Offset as KafkaOffset, consumer::Consumer};

use super::{partition_list::partition_list, thread::MemberThread};
use crate::error::not_done;

impl MemberThread {
    /// Reads a partition from an offset on. If that fails, the partition stays paused until it is started again.
    pub(super) fn seek(&mut self, partition: Partition, offset: Offset) -> PortResult<()> {
        let what = || format!("{} cannot read partition {partition} from offset {}", self.identity, offset.0);
        if !self.positions.contains(partition) {
            return Err(PortError::operator(format!("{}: the partition is not assigned to it", what())));
        }
        // The session has expired, which the next signal reports; no record of the partition comes before that.
        let Some(consumer) = &self.consumer else { return Ok(()) };
        let start = i64::try_from(offset.0)
            .map_err(|_| PortError::operator(format!("{}: the offset is out of range", what())))?;
        let (topic, wait_max) = (&self.identity.config.topic, self.identity.config.request_timeout);
        let list = partition_list(topic, &[partition]);
        // A paused partition fetches nothing between seek and resume.
        let result = if self.positions.is_started(partition) { consumer.pause(&list) } else { Ok(()) }
            .and_then(|()| consumer.seek(topic, i32::from(partition.number()), KafkaOffset::Offset(start), wait_max))
            .and_then(|()| consumer.resume(&list));
        if let Err(error) = result {
            let error = not_done(what(), error);
            self.positions.stop(partition);
            return Err(error);
        }
        self.positions.start(partition, offset.0);
        Ok(())
    }
}
