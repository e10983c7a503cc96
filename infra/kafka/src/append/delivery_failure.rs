//! Reasons why a record was not acknowledged.

use std::fmt;

use diptych_kernel::Partition;
use rdkafka::error::RDKafkaErrorCode;

use crate::error;

/// Reason why a record was not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeliveryFailure {
    /// librdkafka reported an error.
    Code(RDKafkaErrorCode),
    /// librdkafka reported the record as delivered, without an offset. It does so for a record that it sent before one
    /// that was stored, also if the broker has refused it (librdkafka issue 4134).
    NoOffset(Partition),
    /// The record was stored below the end that its partition is known to have had.
    LostTail {
        partition: Partition,
        /// The record's offset.
        offset: u64,
        /// The end that the partition had before, exclusive.
        known_end: u64,
    },
    /// librdkafka raised the producer's epoch, so that sequence numbers start again.
    EpochRaised,
}

impl DeliveryFailure {
    /// Returns whether the record was purged, because of another record's failure or of a timeout.
    pub(super) fn is_purged(self) -> bool {
        matches!(self, Self::Code(code) if error::is_purged(code))
    }

    /// Returns whether the record was certainly not stored.
    pub(super) fn is_known_not_done(self) -> bool {
        matches!(self, Self::Code(code) if error::is_known_not_done(code))
    }

    /// Advice for the operator, if a retry would fail in the same way.
    pub(super) fn advice(self) -> Option<&'static str> {
        match self {
            Self::Code(code) => error::advice(code),
            Self::NoOffset(_) | Self::LostTail { .. } | Self::EpochRaised => None,
        }
    }
}

impl fmt::Display for DeliveryFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => code.fmt(f),
            Self::NoOffset(partition) => write!(
                f,
                "a record of partition {partition} was reported as delivered without an offset, so it may not be stored"
            ),
            Self::LostTail { partition, offset, known_end } => write!(
                f,
                "partition {partition} has lost acknowledged records: a record was stored at offset {offset}, and the \
                 partition ended at {known_end} before; check the brokers for unclean leader election and for a \
                 topic that was created again"
            ),
            Self::EpochRaised => {
                f.write_str("librdkafka raised the producer's epoch after a refused request; a new producer takes over")
            }
        }
    }
}
