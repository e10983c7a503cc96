//! Consumer groups: who is a member, and which partition is whose.
//!
//! All of it is in the database, so that members in several processes agree. Every change of ownership counts the group's generation up.
//! A partition that goes from a member that is there to another one first gets a successor; the owner lets go of it, or is made to
//! after [`GroupTimeouts::hand_over`].

use std::collections::{BTreeMap, HashMap};

use diptych_kernel::{
    Partition, Partitions, Timestamp,
    ports::{Assignment, CommitOutcome, Offset, PortError},
};
use rusqlite::{Connection, OptionalExtension, Transaction, params};

use super::GroupTimeouts;
use crate::database::{Trouble, row};

/// A member's place in its group.
#[derive(Clone, Debug)]
pub(super) struct Seat {
    pub(super) group: String,
    pub(super) member: String,
    /// Tells this member from an earlier one of the same name.
    pub(super) session: i64,
    pub(super) times: GroupTimeouts,
}

impl Seat {
    pub(super) fn new(group: &str, member: &str, times: GroupTimeouts) -> Self {
        Self { group: group.to_owned(), member: member.to_owned(), session: 0, times }
    }

    pub(super) fn with_session(mut self, session: i64) -> Self {
        self.session = session;
        self
    }
}

/// A partition of a member's.
pub(super) struct Holding {
    pub(super) assignment: Assignment,
    pub(super) term: Term,
}

/// One member's time as the owner of a partition, by the generation of the group in which it began. Work of an earlier term does not
/// count in a later one, even of the same member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Term(i64);

/// What a member is to know of its partitions.
pub(super) struct Holdings {
    pub(super) generation: i64,
    /// Its own, without those that it has to let go of.
    pub(super) own: BTreeMap<Partition, Holding>,
    /// Those that others wait for.
    pub(super) to_let_go: BTreeMap<Partition, Term>,
}

/// Joins; returns the number of the session. Partitions of an earlier member of the same name stay where they are.
pub(super) fn join(
    transaction: &Transaction<'_>,
    seat: &Seat,
    partitions: Partitions,
    now: Timestamp,
) -> Result<i64, Trouble> {
    let Seat { group, member, .. } = seat;
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
    sit_down(transaction, &seat.clone().with_session(session), now)?;
    transaction
        .prepare_cached("UPDATE group_partitions SET session = ?3, since = ?3 WHERE group_name = ?1 AND owner = ?2")?
        .execute(params![group, member, session])?;
    rebalance(transaction, group, seat.times, now)?;
    Ok(session)
}

fn sit_down(transaction: &Transaction<'_>, seat: &Seat, now: Timestamp) -> Result<(), Trouble> {
    transaction
        .prepare_cached(
            "INSERT OR REPLACE INTO group_members (group_name, member, session, last_seen) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![seat.group, seat.member, seat.session, now.as_micros()])?;
    Ok(())
}

/// A sign of life. Also finds out who else has gone, and takes partitions from owners that did not let go in time. A member that was
/// forgotten meanwhile is taken in again. Returns whether anybody's partitions changed.
pub(super) fn show_life(transaction: &Transaction<'_>, seat: &Seat, now: Timestamp) -> Result<bool, Trouble> {
    let before = generation(transaction, &seat.group)?;
    rebalance(transaction, &seat.group, seat.times, now)?;
    match session_of(transaction, seat)? {
        Some(session) if session != seat.session => return Err(replaced(seat)),
        Some(_) => sit_down(transaction, seat, now)?,
        None => {
            sit_down(transaction, seat, now)?;
            rebalance(transaction, &seat.group, seat.times, now)?;
        }
    }
    Ok(generation(transaction, &seat.group)? != before)
}

/// Leaves, unless another one sits there by now.
pub(super) fn leave(transaction: &Transaction<'_>, seat: &Seat, now: Timestamp) -> Result<(), Trouble> {
    let gone = transaction
        .prepare_cached("DELETE FROM group_members WHERE group_name = ?1 AND member = ?2 AND session = ?3")?
        .execute(params![seat.group, seat.member, seat.session])?;
    if gone > 0 { rebalance(transaction, &seat.group, seat.times, now) } else { Ok(()) }
}

/// What belongs to the member now.
pub(super) fn holdings(connection: &Connection, seat: &Seat) -> Result<Holdings, Trouble> {
    if session_of(connection, seat)?.is_some_and(|session| session != seat.session) {
        return Err(replaced(seat));
    }
    let mut select = connection.prepare_cached(
        "SELECT partition, next_offset, since, successor IS NULL FROM group_partitions
         WHERE group_name = ?1 AND owner = ?2 AND session = ?3",
    )?;
    let mut rows = select.query(params![seat.group, seat.member, seat.session])?;
    let (mut own, mut to_let_go) = (BTreeMap::new(), BTreeMap::new());
    while let Some(row) = rows.next()? {
        let (partition, committed, term) = (row::partition(row, 0)?, row::offset(row, 1)?, Term(row.get(2)?));
        if row.get(3)? {
            own.insert(partition, Holding { assignment: Assignment { partition, committed }, term });
        } else {
            to_let_go.insert(partition, term);
        }
    }
    Ok(Holdings { generation: generation(connection, &seat.group)?, own, to_let_go })
}

/// The generation of a group: while it stays the same, so do all holdings.
pub(super) fn generation(connection: &Connection, group: &str) -> Result<i64, Trouble> {
    let mut select = connection.prepare_cached("SELECT generation FROM groups WHERE group_name = ?1")?;
    Ok(select.query_row([group], |row| row.get(0))?)
}

/// Gives partitions to their successors, where the member still owns them in the same term.
pub(super) fn let_go(
    transaction: &Transaction<'_>,
    seat: &Seat,
    partitions: &[(Partition, Term)],
) -> Result<(), Trouble> {
    let mut update = transaction.prepare_cached(
        "UPDATE group_partitions SET hand_over_by = ?6
         WHERE group_name = ?1 AND partition = ?2 AND owner = ?3 AND session = ?4 AND since = ?5
           AND successor IS NOT NULL",
    )?;
    for (partition, Term(since)) in partitions {
        update.execute(params![seat.group, partition.number(), seat.member, seat.session, since, i64::MIN])?;
    }
    hand_over(transaction, &seat.group, Timestamp::from_micros(i64::MIN))
}

/// Stores offsets, all or none: none where the member was silent for too long, or a partition is no longer its own in the same term.
pub(super) fn commit(
    transaction: &Transaction<'_>,
    seat: &Seat,
    offsets: &[(Partition, Term, Offset)],
    now: Timestamp,
) -> Result<CommitOutcome, Trouble> {
    let mut present = transaction.prepare_cached(
        "SELECT 1 FROM group_members WHERE group_name = ?1 AND member = ?2 AND session = ?3 AND last_seen >= ?4",
    )?;
    if !present.exists(params![seat.group, seat.member, seat.session, silent_since(seat.times, now)])? {
        return Ok(CommitOutcome::Fenced);
    }
    let mut owned = transaction.prepare_cached(
        "SELECT 1 FROM group_partitions
         WHERE group_name = ?1 AND partition = ?2 AND owner = ?3 AND session = ?4 AND since = ?5",
    )?;
    for (partition, Term(since), _) in offsets {
        if !owned.exists(params![seat.group, partition.number(), seat.member, seat.session, since])? {
            return Ok(CommitOutcome::Fenced);
        }
    }
    let mut update = transaction
        .prepare_cached("UPDATE group_partitions SET next_offset = ?3 WHERE group_name = ?1 AND partition = ?2")?;
    for (partition, _, offset) in offsets {
        update.execute(params![seat.group, partition.number(), row::offset_column(*offset)?])?;
    }
    Ok(CommitOutcome::Committed)
}

/// Who was last seen before this has left.
fn silent_since(times: GroupTimeouts, now: Timestamp) -> i64 {
    now.plus_micros(-micros(times.session)).as_micros()
}

fn replaced(seat: &Seat) -> Trouble {
    let Seat { group, member, .. } = seat;
    PortError::operator(format!("another member has joined group {group} as {member}: give each member its own name"))
        .into()
}

fn session_of(connection: &Connection, seat: &Seat) -> Result<Option<i64>, Trouble> {
    let mut select =
        connection.prepare_cached("SELECT session FROM group_members WHERE group_name = ?1 AND member = ?2")?;
    Ok(select.query_row([&seat.group, &seat.member], |row| row.get(0)).optional()?)
}

fn next_generation(transaction: &Transaction<'_>, group: &str) -> Result<i64, Trouble> {
    let mut update = transaction
        .prepare_cached("UPDATE groups SET generation = generation + 1 WHERE group_name = ?1 RETURNING generation")?;
    Ok(update.query_row([group], |row| row.get(0))?)
}

/// Brings ownership in line with who is there. Does nothing, and writes nothing, where it is.
fn rebalance(transaction: &Transaction<'_>, group: &str, times: GroupTimeouts, now: Timestamp) -> Result<(), Trouble> {
    transaction
        .prepare_cached("DELETE FROM group_members WHERE group_name = ?1 AND last_seen < ?2")?
        .execute(params![group, silent_since(times, now)])?;
    hand_over(transaction, group, now)?;
    let members = members(transaction, group)?;
    let shares = shares(transaction, group)?;
    let hand_over_by = now.plus_micros(micros(times.hand_over)).as_micros();
    let mut changes = Vec::new();
    for (share, target) in shares.iter().zip(deal(&shares, &members)) {
        let owner = share.owner.as_ref().filter(|owner| members.contains_key(*owner));
        let change = match (owner, target) {
            (Some(owner), Some(target)) if *owner == target => (Some(owner.clone()), None),
            (Some(owner), target) => (Some(owner.clone()), target),
            (None, target) => (target, None),
        };
        if change != (share.owner.clone(), share.successor.clone()) {
            changes.push((share, change));
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
    for (share, (owner, successor)) in changes {
        let session = owner.as_ref().and_then(|owner| members.get(owner));
        let gone = share.owner.as_ref().filter(|owner| !members.contains_key(*owner));
        let number = share.partition.number();
        update.execute(params![group, number, owner, session, generation, successor, hand_over_by, gone])?;
    }
    Ok(())
}

/// Gives partitions whose owner has had its time to their successors.
fn hand_over(transaction: &Transaction<'_>, group: &str, now: Timestamp) -> Result<(), Trouble> {
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

fn members(connection: &Connection, group: &str) -> Result<BTreeMap<String, i64>, Trouble> {
    let mut select = connection.prepare_cached("SELECT member, session FROM group_members WHERE group_name = ?1")?;
    let rows = select.query_map([group], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

struct Share {
    partition: Partition,
    owner: Option<String>,
    successor: Option<String>,
    former: Option<String>,
}

impl Share {
    /// The member with the best claim: who comes back to it, who is to get it, who has it.
    fn claimant<'a>(&self, members: &'a BTreeMap<String, i64>) -> Option<&'a String> {
        let names = [&self.former, &self.successor, &self.owner];
        names.into_iter().flatten().find_map(|name| members.get_key_value(name)).map(|(name, _)| name)
    }
}

fn shares(connection: &Connection, group: &str) -> Result<Vec<Share>, Trouble> {
    let mut select = connection.prepare_cached(
        "SELECT partition, owner, successor, former FROM group_partitions WHERE group_name = ?1 ORDER BY partition",
    )?;
    let rows = select.query_map([group], |row| {
        let partition = Partition::new(row.get(0)?);
        Ok(Share { partition, owner: row.get(1)?, successor: row.get(2)?, former: row.get(3)? })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Who is to have each partition: all claims count up to an even share, and the rest goes to who has least.
fn deal(shares: &[Share], members: &BTreeMap<String, i64>) -> Vec<Option<String>> {
    let Some(even) = shares.len().checked_div(members.len()) else { return vec![None; shares.len()] };
    let mut larger_left = shares.len() % members.len();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut targets: Vec<Option<String>> = Vec::with_capacity(shares.len());
    for share in shares {
        let target = share.claimant(members).and_then(|name| {
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
