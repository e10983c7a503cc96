//! Looking keys up.

use diptych_kernel::ports::CacheRead;

use super::Terms;
use crate::{
    key::Key,
    lane::{Command, Failure, Lane, Mark, Reply},
    metrics::CacheMetrics,
    value,
};

/// What a reply means to a reader.
enum Seen {
    Answer(CacheRead),
    /// A value that no reader may have, to be replaced.
    Unusable(Mark),
}

/// Looks keys of one lane up, in one round trip; in two where something has to be removed before there can be a lease for it.
pub(super) async fn read(
    lane: &Lane,
    keys: Vec<Key>,
    terms: Terms,
    metrics: &CacheMetrics,
) -> Result<Vec<CacheRead>, Failure> {
    let pledge = lane.pledge(keys.iter().cloned());
    let look = |key: &Key| Command::Look { key: key.clone(), hold_s: Some(terms.lease_ttl_s) };
    let replies = lane.ask(keys.iter().map(look).collect()).await?;
    let mut reads = Vec::with_capacity(keys.len());
    let (mut places, mut again) = (Vec::new(), Vec::new());
    for (place, (reply, key)) in replies.into_iter().zip(&keys).enumerate() {
        reads.push(match see(reply, metrics) {
            Seen::Answer(read) => read,
            Seen::Unusable(mark) => {
                places.push(place);
                again.extend([Command::Delete { key: key.clone(), mark: Some(mark) }, look(key)]);
                CacheRead::Filling
            }
        });
    }
    let replies = lane.ask(again).await?;
    // Every second one is that of the look.
    for (place, reply) in places.into_iter().zip(replies.into_iter().skip(1).step_by(2)) {
        if let (Some(read), Seen::Answer(answer)) = (reads.get_mut(place), see(reply, metrics)) {
            *read = answer;
        }
    }
    pledge.keep();
    Ok(reads)
}

fn see(reply: Reply, metrics: &CacheMetrics) -> Seen {
    match reply {
        Reply::Held(mark) => Seen::Answer(CacheRead::Miss(mark.into())),
        Reply::Value { mark, is_doubtful: true, .. } => {
            metrics.disbelieved.increment(1);
            Seen::Unusable(mark)
        }
        Reply::Value { mark, value, .. } => match value::decode(&value) {
            Some(row) => Seen::Answer(CacheRead::Hit(row)),
            None => {
                metrics.undecodable.increment(1);
                Seen::Unusable(mark)
            }
        },
        // Without a placeholder there is no lease. The server had no room for one, or would not do it.
        Reply::Taken(_) | Reply::Absent | Reply::Refused | Reply::Done | Reply::Changed => {
            Seen::Answer(CacheRead::Filling)
        }
    }
}
