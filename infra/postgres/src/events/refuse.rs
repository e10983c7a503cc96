//! Stores refusals in one statement.

use std::collections::{HashMap, HashSet};

use diptych_kernel::{
    RequestId, StreamId, Version,
    ports::{Conflict, PortError, PortResult, RefusalOutcome, RefusalUnit, StoredRequest},
};

use super::{
    append::{RejectionReasons, check_not_suspended, rejection_reasons},
    resources::StoreResources,
};
use crate::driver::{Session, SqlRow, StatementError, Uuid};

const REFUSE: &str = include_str!("../../queries/refuse.sql");

/// Maximum number of attempts for refusals that are not stored without a reason that is found afterwards: what was in
/// the way is gone, such as an append that was rolled back or a forgotten request.
const ATTEMPTS_MAX: usize = 8;

/// Stores each of the refusals whose request id is new and whose streams have not changed.
pub(super) async fn refuse(resources: &StoreResources, refusals: &[RefusalUnit]) -> PortResult<Vec<RefusalOutcome>> {
    let mut outcomes: HashMap<RequestId, RefusalOutcome> = HashMap::with_capacity(refusals.len());
    for _ in 0..ATTEMPTS_MAX {
        let mut open: Vec<&RefusalUnit> =
            refusals.iter().filter(|refusal| !outcomes.contains_key(&refusal.request_id)).collect();
        open.sort_by_key(|refusal| refusal.request_id);
        let mut session = resources.writers.session().await.map_err(StatementError::into_write_error)?;
        let stored = insert(resources, &mut session, &open).await.map_err(StatementError::into_write_error)?;
        open.retain(|refusal| !stored.contains(&refusal.request_id));
        outcomes.extend(stored.into_iter().map(|request_id| (request_id, RefusalOutcome::Stored)));
        if !open.is_empty() {
            // Stored refusals of this call are found by a repeat of it, so a failure of this read has an unknown
            // effect.
            let reasons = reasons(resources, &mut session, &open).await.map_err(StatementError::into_write_error)?;
            outcomes.extend(reasons);
        }
        if refusals.iter().all(|refusal| outcomes.contains_key(&refusal.request_id)) {
            return Ok(refusals.iter().filter_map(|refusal| outcomes.remove(&refusal.request_id)).collect());
        }
    }
    Err(PortError::unknown(format!(
        "refusals were not stored in {ATTEMPTS_MAX} attempts, each time for a reason that was gone when it was looked \
         up"
    )))
}

/// Inserts refusals, and returns the request ids of those that are stored.
async fn insert(
    resources: &StoreResources,
    session: &mut Session,
    refusals: &[&RefusalUnit],
) -> Result<HashSet<RequestId>, StatementError> {
    let ids: Vec<Uuid> = refusals.iter().map(|refusal| Uuid(refusal.request_id)).collect();
    let fingerprints: Vec<&[u8]> = refusals.iter().map(|refusal| &refusal.fingerprint.as_bytes()[..]).collect();
    let bodies: Vec<&[u8]> = refusals.iter().map(|refusal| &refusal.refusal[..]).collect();
    let streams = || (1_i64..).zip(refusals).flat_map(|(ordinal, unit)| unit.streams.iter().map(move |s| (ordinal, s)));
    let ordinals: Vec<i64> = streams().map(|(ordinal, _)| ordinal).collect();
    let names: Vec<&str> = streams().map(|(_, (stream_id, _))| stream_id.as_str()).collect();
    let versions: Vec<i64> = streams().map(|(_, (_, version))| i64::from(version.number())).collect();
    let rows = session.write(REFUSE, &[&ids, &fingerprints, &bodies, &ordinals, &names, &versions]).await?;
    let Some(row) = rows.first().map(SqlRow) else {
        check_not_suspended(session).await?;
        // No longer suspended: the next attempt may store them.
        return Ok(HashSet::new());
    };
    let stored: Vec<i64> = row.get("stored")?;
    if !stored.is_empty() {
        resources.durability.record_commit(row.position("first_position")?, row)?;
    }
    let stored = stored.into_iter().filter_map(|ordinal| usize::try_from(ordinal - 1).ok());
    Ok(stored.filter_map(|index| refusals.get(index)).map(|refusal| refusal.request_id).collect())
}

/// Returns why refusals were not stored, for those that still have a reason.
async fn reasons(
    resources: &StoreResources,
    session: &mut Session,
    refusals: &[&RefusalUnit],
) -> Result<HashMap<RequestId, RefusalOutcome>, StatementError> {
    let ids: Vec<Uuid> = refusals.iter().map(|refusal| Uuid(refusal.request_id)).collect();
    let streams: HashSet<&StreamId> =
        refusals.iter().flat_map(|refusal| refusal.streams.iter().map(|(id, _)| id)).collect();
    let streams: Vec<&StreamId> = streams.into_iter().collect();
    let names: Vec<&str> = streams.iter().map(|stream_id| stream_id.as_str()).collect();
    let RejectionReasons { versions, requests } = rejection_reasons(session, &names, &ids).await?;
    resources.durability.ensure_durable(session, requests.last_position()).await?;
    let versions: HashMap<&StreamId, Version> = streams.into_iter().zip(versions).collect();
    let mut done: HashMap<RequestId, StoredRequest> =
        requests.into_requests().into_iter().map(|stored| (stored.request_id, stored)).collect();
    let mut outcomes = HashMap::new();
    for refusal in refusals {
        if let Some(stored) = done.remove(&refusal.request_id) {
            outcomes.insert(refusal.request_id, RefusalOutcome::Done(stored));
            continue;
        }
        let conflicts: Vec<Conflict> = refusal
            .streams
            .iter()
            .map(|(stream_id, expected)| {
                let actual = versions.get(stream_id).copied().unwrap_or_default();
                Conflict { stream_id: stream_id.clone(), expected: *expected, actual }
            })
            .filter(|conflict| conflict.actual != conflict.expected)
            .collect();
        if !conflicts.is_empty() {
            outcomes.insert(refusal.request_id, RefusalOutcome::Conflicts(conflicts));
        }
    }
    Ok(outcomes)
}
