//! Reads of keys.

use diptych_kernel::ports::CacheRead;

use super::settings::ItemSettings;
use crate::{
    connection::{CacheCommand, CallError, CasToken, Connection, Reply},
    key::Key,
    metrics::CacheMetrics,
    value,
};

/// The meaning of a reply to a read.
enum ReadReply {
    Answer(CacheRead),
    /// A value that must not be returned to a reader, and has to be deleted.
    Unusable(CasToken),
}

/// Reads keys of one connection, in one round trip; in two where an unusable value has to be deleted before a lease can
/// be given.
///
/// If it fails, the caller reads the read database, and the keys are invalidated before they are read again. If it is
/// dropped, they are not: a caller that is gone has answered nothing, and one that goes on invalidates them.
pub(super) async fn read(
    connection: &Connection,
    keys: Vec<Key>,
    settings: ItemSettings,
    metrics: &CacheMetrics,
) -> Result<Vec<CacheRead>, CallError> {
    let reads = try_read(connection, &keys, settings, metrics).await;
    if reads.is_err() {
        connection.invalidate_later(keys);
    }
    reads
}

async fn try_read(
    connection: &Connection,
    keys: &[Key],
    settings: ItemSettings,
    metrics: &CacheMetrics,
) -> Result<Vec<CacheRead>, CallError> {
    let get = |key: &Key| CacheCommand::Get { key: key.clone(), vivify_ttl_s: Some(settings.lease_ttl_s) };
    let replies = connection.execute(keys.iter().map(get).collect()).await?;
    let mut reads = Vec::with_capacity(keys.len());
    let (mut retried, mut commands) = (Vec::new(), Vec::new());
    for (index, (reply, key)) in replies.into_iter().zip(keys).enumerate() {
        reads.push(match interpret(reply, metrics) {
            ReadReply::Answer(read) => read,
            ReadReply::Unusable(cas) => {
                retried.push(index);
                commands.extend([CacheCommand::Delete { key: key.clone(), cas: Some(cas) }, get(key)]);
                CacheRead::Filling
            }
        });
    }
    let replies = connection.execute(commands).await?;
    // Every second reply is that of the read.
    for (index, reply) in retried.into_iter().zip(replies.into_iter().skip(1).step_by(2)) {
        if let (Some(read), ReadReply::Answer(answer)) = (reads.get_mut(index), interpret(reply, metrics)) {
            *read = answer;
        }
    }
    Ok(reads)
}

fn interpret(reply: Reply, metrics: &CacheMetrics) -> ReadReply {
    match reply {
        Reply::PlaceholderCreated(cas) => ReadReply::Answer(CacheRead::Miss(cas.into())),
        Reply::Value { cas, may_be_stale: true, .. } => {
            metrics.possibly_stale.increment(1);
            ReadReply::Unusable(cas)
        }
        Reply::Value { cas, value, .. } => match value::decode(&value) {
            Some(row) => ReadReply::Answer(CacheRead::Hit(row)),
            None => {
                metrics.undecodable.increment(1);
                ReadReply::Unusable(cas)
            }
        },
        // There is no lease without a placeholder: the server had no room for one, or refused the command.
        Reply::PlaceholderPresent(_) | Reply::Absent | Reply::Refused | Reply::Done | Reply::Conflict => {
            ReadReply::Answer(CacheRead::Filling)
        }
    }
}
