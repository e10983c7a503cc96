//! Progress of a producer on one partition, and the checks of its acknowledgements.

use diptych_kernel::Partition;

use super::delivery_failure::DeliveryFailure;

/// Progress of a producer on one partition.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct PartitionProgress {
    has_sent: bool,
    /// The offset after the last acknowledged record, if there is one.
    acknowledged_end: Option<u64>,
}

impl PartitionProgress {
    /// Returns whether the producer's first record on the partition waits for its acknowledgement. Nothing may be sent
    /// behind it: a broker accepts any sequence number from a producer id that the partition has no record of, so that
    /// it would store the second request although it has refused the first.
    pub(super) fn awaits_first_record(self) -> bool {
        self.has_sent && self.acknowledged_end.is_none()
    }

    pub(super) fn record_sent(&mut self) {
        self.has_sent = true;
    }

    /// Takes the offset of a record that is reported as delivered, and returns it.
    ///
    /// `end_when_sent` is the offset that the partition was known to reach when the record was enqueued, 0 if unknown.
    ///
    /// # Errors
    /// When the offset is invalid, or below one that the partition is known to have reached.
    pub(super) fn check_delivery(
        &mut self,
        partition: Partition,
        offset: i64,
        end_when_sent: u64,
    ) -> Result<u64, DeliveryFailure> {
        let offset = u64::try_from(offset).map_err(|_| DeliveryFailure::NoOffset(partition))?;
        let known_end = self.acknowledged_end.unwrap_or_default().max(end_when_sent);
        if offset < known_end {
            return Err(DeliveryFailure::LostTail { partition, offset, known_end });
        }
        self.acknowledged_end = Some(offset + 1);
        Ok(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition() -> Partition {
        Partition::new(1)
    }

    #[test]
    fn one_record_is_sent_until_the_first_acknowledgement() {
        let mut progress = PartitionProgress::default();
        assert!(!progress.awaits_first_record());
        progress.record_sent();
        assert!(progress.awaits_first_record());
        progress.check_delivery(partition(), 4, 0).unwrap();
        progress.record_sent();
        assert!(!progress.awaits_first_record());
    }

    #[test]
    fn a_delivery_without_an_offset_is_a_failure() {
        // For an implicit acknowledgement, and for a duplicate.
        for offset in [-1_001, -1] {
            let mut progress = PartitionProgress::default();
            progress.record_sent();
            assert_eq!(progress.check_delivery(partition(), offset, 3), Err(DeliveryFailure::NoOffset(partition())));
            assert!(progress.awaits_first_record());
        }
    }

    #[test]
    fn acknowledged_offsets_only_grow() {
        let mut progress = PartitionProgress::default();
        assert_eq!(progress.check_delivery(partition(), 4, 4), Ok(4));
        assert_eq!(progress.check_delivery(partition(), 7, 4), Ok(7), "another producer has written in between");
        for offset in [0, 4, 7] {
            let lost_tail =
                DeliveryFailure::LostTail { partition: partition(), offset: offset.try_into().unwrap(), known_end: 8 };
            assert_eq!(progress.check_delivery(partition(), offset, 4), Err(lost_tail));
        }
    }

    #[test]
    fn an_offset_below_the_end_that_was_known_when_it_was_sent_is_a_lost_tail() {
        let mut progress = PartitionProgress::default();
        let lost_tail = DeliveryFailure::LostTail { partition: partition(), offset: 9, known_end: 10 };
        assert_eq!(progress.check_delivery(partition(), 9, 10), Err(lost_tail));
        assert_eq!(progress.check_delivery(partition(), 10, 10), Ok(10));
    }
}
