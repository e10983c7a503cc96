//! Freshness of a response that is made of several reads.

use diptych_kernel::{Partition, Position, Token, vocabulary::TokenIssuer};
use diptych_proto::diptych::v1;
use diptych_query::ReadAt;

use super::convert;
use crate::timestamp;

/// Returns the freshness that both `whole` and `part` have: the lower position of each partition that `part` covers,
/// and the earlier time. Where `part` covers a partition and has no position for it, it has not reached any.
pub(super) fn minimum(whole: &ReadAt, part: &ReadAt, part_covers: impl Fn(Partition) -> bool) -> ReadAt {
    let lower = |(partition, position): (Partition, Position)| {
        let position = if part_covers(partition) { position.min(part.token.position(partition)) } else { position };
        (partition, position)
    };
    let token: Token = whole.token.iter().map(lower).filter(|(_, position)| *position > Position::START).collect();
    let complete_up_to = match (whole.complete_up_to, part.complete_up_to) {
        (Some(whole), Some(part)) => Some(whole.min(part)),
        _ => None,
    };
    ReadAt { token, complete_up_to }
}

/// Converts it to the proto message.
pub(super) fn to_proto(read_at: &ReadAt, tokens: &TokenIssuer) -> v1::ReadAt {
    v1::ReadAt {
        token: Some(convert::token(&read_at.token, tokens)),
        complete_up_to_time: read_at.complete_up_to.map(timestamp::to_proto),
    }
}

#[cfg(test)]
mod tests {
    use diptych_kernel::{
        Timestamp,
        vocabulary::{History, HistoryId, TokenKey},
    };

    use super::*;

    fn read_at(positions: &[(u16, i64)], time: Option<i64>) -> ReadAt {
        let positions = positions.iter().map(|(p, at)| (Partition::new(*p), Position::from_i64(*at).unwrap()));
        ReadAt { token: positions.collect(), complete_up_to: time.map(Timestamp::from_micros) }
    }

    #[test]
    fn a_response_is_as_fresh_as_its_least_fresh_part() {
        let whole = read_at(&[(0, 10), (1, 10), (2, 10)], Some(100));
        let part = read_at(&[(0, 5), (1, 20)], Some(90));
        let covers = |partition: Partition| partition.number() != 2;
        assert_eq!(minimum(&whole, &part, covers), read_at(&[(0, 5), (1, 10), (2, 10)], Some(90)));
    }

    #[test]
    fn a_position_that_a_part_has_not_reached_is_dropped() {
        let whole = read_at(&[(0, 10), (1, 10)], Some(100));
        assert_eq!(minimum(&whole, &read_at(&[], None), |_| true), read_at(&[], None));
        assert_eq!(minimum(&whole, &read_at(&[(0, 10)], None), |_| true), read_at(&[(0, 10)], None));
    }

    #[test]
    fn only_the_time_is_absent_before_the_first_event() {
        let tokens = TokenIssuer::new(History::new(HistoryId::random()), &TokenKey::random());
        let proto = to_proto(&read_at(&[(3, 7)], Some(1_500_000)), &tokens);
        assert!(!proto.token.unwrap().value.is_empty());
        assert_eq!(proto.complete_up_to_time, Some(prost_types::Timestamp { seconds: 1, nanos: 500_000_000 }));
        assert_eq!(to_proto(&read_at(&[], None), &tokens).complete_up_to_time, None);
    }
}
