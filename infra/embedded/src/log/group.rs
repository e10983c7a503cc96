//! Consumer groups: members and partition ownership.
//!
//! The state of a group is in the database, so that members in several processes agree on it. Every change of ownership
//! increments the group's generation. When a partition moves from a live member to another one, it first gets a
//! successor. The owner then releases it, or loses it after [`GroupTimeouts::handover`].

use std::collections::{BTreeMap, HashMap};

use diptych_kernel::{
    Partition, Partitions, Timestamp,
    ports::{Assignment, CommitOutcome, Offset, PortError},
};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::GroupTimeouts;
use crate::database::{TransactionError, row};

/// Membership of one consumer in its group.
#[derive(Clone, Debug)]
pub(super) struct Membership {
    pub(super) group: String,
    pub(super) member: String,
    /// Distinguishes this member from an earlier one of the same name.
    pub(super) session: i64,
    pub(super) timeouts: GroupTimeouts,
}

impl Membership {
    pub(super) fn new(group: &str, member: &str, timeouts: GroupTimeouts) -> Self {
        Self { group: group.to_owned(), member: member.to_owned(), session: 0, timeouts }
    }

    pub(super) fn with_session(mut self, session: i64) -> Self {
        self.session = session;
        self
    }
}

/// Partition owned by a member.
pub(super) struct OwnedPartition {
    pub(super) assignment: Assignment,
    pub(super) term: OwnershipTerm,
}

/// Period during which one member owns a partition, identified by the generation of the group in which it began.
/// Commits of an earlier term are not accepted in a later one, even from the same member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OwnershipTerm(i64);

/// A member's partitions, as of a generation of the group.
pub(super) struct Ownership {
    pub(super) generation: i64,
    /// Owned partitions, without those to be released.
    pub(super) own: BTreeMap<Partition, OwnedPartition>,
    /// Owned partitions that other members wait for.
    pub(super) to_release: BTreeMap<Partition, OwnershipTerm>,
}

/// Joins a group and returns the session number. Partitions of an earlier member of the same name stay with the new
/// one.
pub(super) fn join(
    transaction: &Transaction<'_>,
    membership: &Membership,
    partitions: Partitions,
    now: Timestamp,
) -> Result<i64, TransactionError> {
    let Membership { group, member, .. } = membership;
    transaction
        .prepare_cached("INSERT OR IGNORE INTO groups (group_name, generation) VALUES (?1, 0)")?
        .execute([group])?;
    let mut insert = transaction.prepare_cached(
        "INSERT OR IGNORE INTO group_partitions (group_name, partition, next_offset, since) VALUES (?1, ?2, 0, 0)",
    )?;
    for partition in partitions.iter() {
        insert.execute(params![group, partition.number()])?;
    }
    let session = next_generation(transaction, group)?;
    upsert_member(transaction, &membership.clone().with_session(session), now)?;
    transaction
        .prepare_cached("UPDATE group_partitions SET session = ?3, since = ?3 WHERE group_name = ?1 AND owner = ?2")?
        .execute(params![group, member, session])?;
    rebalance(transaction, group, membership.timeouts, now)?;
    Ok(session)
}

fn upsert_member(
    transaction: &Transaction<'_>,
    membership: &Membership,
    now: Timestamp,
) -> Result<(), TransactionError> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO group_members (group_name, member, session, last_seen) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![membership.group, membership.member, membership.session, now.as_micros()])?;
    Ok(())
}

/// Records a heartbeat. Also removes expired members, and takes partitions from owners that did not release them in
/// time. A member that has expired itself joins again. Returns whether the ownership of any partition changed.
pub(super) fn heartbeat(
    transaction: &Transaction<'_>,
    membership: &Membership,
    now: Timestamp,
) -> Result<bool, TransactionError> {
    let before = generation(transaction, &membership.group)?;
    rebalance(transaction, &membership.group, membership.timeouts, now)?;
    match session_of(transaction, membership)? {
        Some(session) if session != membership.session => return Err(replaced(membership)),
        Some(_) => upsert_member(transaction, membership, now)?,
        None => {
            upsert_member(transaction, membership, now)?;
            rebalance(transaction, &membership.group, membership.timeouts, now)?;
        }
    }
    Ok(generation(transaction, &membership.group)? != before)
}

/// Leaves the group, unless another member has joined under the same name.
pub(super) fn leave(
    transaction: &Transaction<'_>,
    membership: &Membership,
    now: Timestamp,
) -> Result<(), TransactionError> {
    let deleted = transaction
        .prepare_cached("DELETE FROM group_members WHERE group_name = ?1 AND member = ?2 AND session = ?3")?
        .execute(params![membership.group, membership.member, membership.session])?;
    if deleted > 0 { rebalance(transaction, &membership.group, membership.timeouts, now) } else { Ok(()) }
}

/// Returns the partitions that the member owns now.
pub(super) fn ownership(connection: &Connection, membership: &Membership) -> Result<Ownership, TransactionError> {
    if session_of(connection, membership)?.is_some_and(|session| session != membership.session) {
        return Err(replaced(membership));
    }
    let mut select = connection.prepare_cached(
        "SELECT partition, next_offset, since, successor IS NULL FROM group_partitions
         WHERE group_name = ?1 AND owner = ?2 AND session = ?3",
    )?;
    let mut rows = select.query(params![membership.group, membership.member, membership.session])?;
    let (mut own, mut to_release) = (BTreeMap::new(), BTreeMap::new());
    while let Some(row) = rows.next()? {
        let (partition, committed, term) = (row::partition(row, 0)?, row::offset(row, 1)?, OwnershipTerm(row.get(2)?));
        if row.get(3)? {
            own.insert(partition, OwnedPartition { assignment: Assignment { partition, committed }, term });
        } else {
            to_release.insert(partition, term);
        }
    }
    Ok(Ownership { generation: generation(connection, &membership.group)?, own, to_release })
}

/// Returns the generation of a group. While it is unchanged, so is the ownership of all partitions.
pub(super) fn generation(connection: &Connection, group: &str) -> Result<i64, TransactionError> {
    let mut select = connection.prepare_cached("SELECT generation FROM groups WHERE group_name = ?1")?;
    Ok(select.query_row([group], |row| row.get(0))?)
}

/// Releases partitions to their successors, if the member still owns them in the same term.
pub(super) fn release(
    transaction: &Transaction<'_>,
    membership: &Membership,
    partitions: &[(Partition, OwnershipTerm)],
) -> Result<(), TransactionError> {
    let mut update = transaction.prepare_cached(
        "UPDATE group_partitions SET hand_over_by = ?6
         WHERE group_name = ?1 AND partition = ?2 AND owner = ?3 AND session = ?4 AND since = ?5
           AND successor IS NOT NULL",
    )?;
    for (partition, OwnershipTerm(since)) in partitions {
        update.execute(params![
            membership.group,
            partition.number(),
            membership.member,
            membership.session,
            since,
            i64::MIN
        ])?;
    }
    handover(transaction, &membership.group, Timestamp::from_micros(i64::MIN))
}

/// Commits offsets atomically. Fences the commit if the member's session has expired, or if it no longer owns one of
/// the partitions in the same term.
pub(super) fn commit(
    transaction: &Transaction<'_>,
    membership: &Membership,
    offsets: &[(Partition, OwnershipTerm, Offset)],
    now: Timestamp,
) -> Result<CommitOutcome, TransactionError> {
    let mut present = transaction.prepare_cached(
        "SELECT 1 FROM group_members WHERE group_name = ?1 AND member = ?2 AND session = ?3 AND last_seen >= ?4",
    )?;
    if !present.exists(params![
        membership.group,
        membership.member,
        membership.session,
        last_seen_min(membership.timeouts, now)
    ])? {
        return Ok(CommitOutcome::Fenced);
    }
    let mut owned = transaction.prepare_cached(
        "SELECT 1 FROM group_partitions
         WHERE group_name = ?1 AND partition = ?2 AND owner = ?3 AND session = ?4 AND since = ?5",
    )?;
    for (partition, OwnershipTerm(since), _) in offsets {
        if !owned.exists(params![membership.group, partition.number(), membership.member, membership.session, since])? {
            return Ok(CommitOutcome::Fenced);
        }
    }
    let mut update = transaction
        .prepare_cached("UPDATE group_partitions SET next_offset = ?3 WHERE group_name = ?1 AND partition = ?2")?;
    for (partition, _, offset) in offsets {
        update.execute(params![membership.group, partition.number(), row::offset_column(*offset)?])?;
    }
    Ok(CommitOutcome::Committed)
}

/// Returns the earliest heartbeat time of members that have not expired, in microseconds.
fn last_seen_min(timeouts: GroupTimeouts, now: Timestamp) -> i64 {
    now.plus_micros(-micros(timeouts.session)).as_micros()
}

fn replaced(membership: &Membership) -> TransactionError {
    let Membership { group, member, .. } = membership;
    PortError::operator(format!("another member has joined group {group} as {member}: give each member its own name"))
        .into()
}

fn session_of(connection: &Connection, membership: &Membership) -> Result<Option<i64>, TransactionError> {
    let mut select =
        connection.prepare_cached("SELECT session FROM group_members WHERE group_name = ?1 AND member = ?2")?;
    Ok(select.query_row([&membership.group, &membership.member], |row| row.get(0)).optional()?)
}

fn next_generation(transaction: &Transaction<'_>, group: &str) -> Result<i64, TransactionError> {
    let mut update = transaction
        .prepare_cached("UPDATE groups SET generation = generation + 1 WHERE group_name = ?1 RETURNING generation")?;
    Ok(update.query_row([group], |row| row.get(0))?)
}

/// Removes expired members and assigns the partitions to the members of the group. Writes nothing if nothing changes.
fn rebalance(
    transaction: &Transaction<'_>,
    group: &str,
    timeouts: GroupTimeouts,
    now: Timestamp,
) -> Result<(), TransactionError> {
    transaction
        .prepare_cached("DELETE FROM group_members WHERE group_name = ?1 AND last_seen < ?2")?
        .execute(params![group, last_seen_min(timeouts, now)])?;
    handover(transaction, group, now)?;
    let members = members(transaction, group)?;
    let states = states(transaction, group)?;
    let hand_over_by = now.plus_micros(micros(timeouts.handover)).as_micros();
    let mut changes = Vec::new();
    for (state, target) in states.iter().zip(assign(&states, &members)) {
        let owner = state.owner.as_ref().filter(|owner| members.contains_key(*owner));
        let change = match (owner, target) {
            (Some(owner), Some(target)) if *owner == target => (Some(owner.clone()), None),
            (Some(owner), target) => (Some(owner.clone()), target),
            (None, target) => (target, None),
        };
        if change != (state.owner.clone(), state.successor.clone()) {
            changes.push((state, change));
        }
    }
    if changes.is_empty() {
        return Ok(());
    }
    let generation = next_generation(transaction, group)?;
    let mut update = transaction.prepare_cached(
        "UPDATE group_partitions
         SET owner = ?3, session = ?4, since = CASE WHEN owner IS ?3 THEN since ELSE ?5 END,
             successor = ?6, hand_over_by = ?7, former = NULLIF(COALESCE(?8, former), ?3)
         WHERE group_name = ?1 AND partition = ?2",
    )?;
    for (state, (owner, successor)) in changes {
        let session = owner.as_ref().and_then(|owner| members.get(owner));
        let deleted = state.owner.as_ref().filter(|owner| !members.contains_key(*owner));
        let number = state.partition.number();
        update.execute(params![group, number, owner, session, generation, successor, hand_over_by, deleted])?;
    }
    Ok(())
}

/// Gives partitions whose handover time has passed to their successors.
fn handover(transaction: &Transaction<'_>, group: &str, now: Timestamp) -> Result<(), TransactionError> {
    let mut update = transaction.prepare_cached(
        "UPDATE group_partitions
         SET owner = successor, successor = NULL, hand_over_by = NULL,
             session = (SELECT session FROM group_members AS members
                        WHERE members.group_name = group_partitions.group_name AND members.member = successor),
             since = (SELECT generation + 1 FROM groups WHERE groups.group_name = group_partitions.group_name)
         WHERE group_name = ?1 AND successor IS NOT NULL AND hand_over_by <= ?2",
    )?;
    if update.execute(params![group, now.as_micros()])? > 0 {
        next_generation(transaction, group)?;
    }
    Ok(())
}

fn members(connection: &Connection, group: &str) -> Result<BTreeMap<String, i64>, TransactionError> {
    let mut select = connection.prepare_cached("SELECT member, session FROM group_members WHERE group_name = ?1")?;
    let rows = select.query_map([group], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

struct PartitionState {
    partition: Partition,
    owner: Option<String>,
    successor: Option<String>,
    former: Option<String>,
}

impl PartitionState {
    /// Returns the member with the strongest claim: the former owner that has rejoined, then the successor, then the
    /// owner.
    fn claimant<'a>(&self, members: &'a BTreeMap<String, i64>) -> Option<&'a String> {
        let names = [&self.former, &self.successor, &self.owner];
        names.into_iter().flatten().find_map(|name| members.get_key_value(name)).map(|(name, _)| name)
    }
}

fn states(connection: &Connection, group: &str) -> Result<Vec<PartitionState>, TransactionError> {
    let mut select = connection.prepare_cached(
        "SELECT partition, owner, successor, former FROM group_partitions WHERE group_name = ?1 ORDER BY partition",
    )?;
    let rows = select.query_map([group], |row| {
        let partition = Partition::new(row.get(0)?);
        Ok(PartitionState { partition, owner: row.get(1)?, successor: row.get(2)?, former: row.get(3)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Returns the target owner of each partition. Claims are honored up to an even share per member; the remaining
/// partitions go to the members with the fewest.
fn assign(states: &[PartitionState], members: &BTreeMap<String, i64>) -> Vec<Option<String>> {
    let Some(even) = states.len().checked_div(members.len()) else { return vec![None; states.len()] };
    let mut larger_left = states.len() % members.len();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut targets: Vec<Option<String>> = Vec::with_capacity(states.len());
    for state in states {
        let target = state.claimant(members).and_then(|name| {
            let count = counts.entry(name).or_default();
            if *count == even && larger_left > 0 {
                larger_left -= 1;
            } else if *count >= even {
                return None;
            }
            *count += 1;
            Some(name.clone())
        });
        targets.push(target);
    }
    for target in targets.iter_mut().filter(|target| target.is_none()) {
        let least = members.keys().min_by_key(|name| (counts.get(name.as_str()).copied().unwrap_or_default(), *name));
        if let Some(name) = least {
            *counts.entry(name).or_default() += 1;
            *target = Some(name.clone());
        }
    }
    targets
}

fn micros(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
