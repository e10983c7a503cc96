//! Partitions: the unit by which streams are distributed over the log and its consumers.

use std::fmt;

use super::StreamId;

/// Partition number, from 0. The same in the write database and on the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(u16);

impl Partition {
    /// Creates the partition with this number.
    #[must_use]
    pub fn new(number: u16) -> Self {
        Self(number)
    }

    /// Returns the number.
    #[must_use]
    pub fn number(self) -> u16 {
        self.0
    }

    /// Returns the number as an index.
    #[must_use]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of partitions of an installation: 1 to 256, so that a token over all of them stays short. Fixed when the
/// installation is created; every store checks it when it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partitions(u16);

/// Error for an invalid number of partitions.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid number of partitions {0}: use 1 to {max}", max = Partitions::MAX)]
pub struct PartitionsError(pub u16);

impl Partitions {
    /// Largest number of partitions.
    pub const MAX: u16 = 256;

    /// Validates a number of partitions.
    ///
    /// # Errors
    /// If `count` is 0 or more than [`Partitions::MAX`].
    pub fn new(count: u16) -> Result<Self, PartitionsError> {
        if (1..=Self::MAX).contains(&count) { Ok(Self(count)) } else { Err(PartitionsError(count)) }
    }

    /// Returns the number of partitions.
    #[must_use]
    pub fn count(self) -> u16 {
        self.0
    }

    /// Returns the partition of a stream: the one that Kafka's default partitioner chooses for a record whose key is
    /// the stream's name.
    #[must_use]
    pub fn of(self, stream_id: &StreamId) -> Partition {
        let hash = murmur2(stream_id.as_str().as_bytes()) & 0x7fff_ffff;
        // The remainder is below 2^16, so the conversion cannot fail.
        Partition(u16::try_from(hash % u32::from(self.0)).unwrap_or_default())
    }

    /// Iterates over all partitions, from 0.
    pub fn iter(self) -> impl Iterator<Item = Partition> + Clone + use<> {
        (0..self.0).map(Partition)
    }
}

/// Computes MurmurHash2 (Austin Appleby, 32 bit) with the seed that Kafka's clients use
/// (`org.apache.kafka.common.utils.Utils.murmur2`).
#[must_use]
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    const SEED: u32 = 0x9747_b28c;
    // Keys are far shorter than 4 GiB; Kafka's own code also uses a 32-bit length.
    let mut hash = SEED ^ u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut word = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]).wrapping_mul(M);
        word ^= word >> 24;
        hash = hash.wrapping_mul(M) ^ word.wrapping_mul(M);
    }
    let rest = chunks.remainder();
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Test vectors from Kafka's own test (UtilsTest.testMurmur2).
    #[test]
    fn murmur2_agrees_with_kafka() {
        let vectors = [
            ("21", -973_932_308_i32),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
            ("", 275_646_681),
        ];
        for (text, expected) in vectors {
            assert_eq!(murmur2(text.as_bytes()).cast_signed(), expected, "{text}");
        }
    }

    #[test]
    fn every_stream_has_a_partition() {
        let partitions = Partitions::new(16).unwrap();
        for number in 0..1_000 {
            let stream = StreamId::new(&format!("seat-{number}")).unwrap();
            assert!(partitions.of(&stream).number() < 16);
        }
        assert_eq!(Partitions::new(0), Err(PartitionsError(0)));
        assert_eq!(Partitions::new(257), Err(PartitionsError(257)));
    }
}
