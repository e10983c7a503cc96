//! The thread of a member.

use std::{
    fmt,
    sync::{
        Arc,
        mpsc::{self, Sender},
    },
    thread,
    time::Duration,
};

use diptych_kernel::{
    Partition,
    ports::{Assignment, LogRecord, LogSignal, Offset, PortError, PortResult, RevokeGuard},
};
use rdkafka::{
    Offset as KafkaOffset,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
};
use tokio::{sync::oneshot, time::Instant};

use super::{
    inbox::{Command, Inbox, Interruption},
    reading::{Fetched, Reading},
    rebalance::{Change, LetGo, MemberContext, follow, list_of},
};
use crate::{
    client,
    config::KafkaConfig,
    ends::place,
    error::{self, advice, not_done},
};

/// How long the thread listens to librdkafka only. A command waits as long, where one comes while another is under way.
const SLICE: Duration = Duration::from_millis(20);

/// Whose place this is.
pub(super) struct Seat {
    pub(super) config: Arc<KafkaConfig>,
    pub(super) group: String,
    member: String,
}

impl Seat {
    pub(super) fn new(config: Arc<KafkaConfig>, group: &str, member: &str) -> PortResult<Self> {
        for (what, name) in [("group", group), ("member", member)] {
            if name.is_empty() || name.contains('\0') {
                return Err(PortError::operator(format!("{name:?} is no name for a {what} of consumers")));
            }
        }
        Ok(Self { config, group: group.to_owned(), member: member.to_owned() })
    }

    /// Takes the seat at the broker. Whoever sat there under the same name is replaced.
    fn sit_down(&self) -> PortResult<BaseConsumer<MemberContext>> {
        let properties = client::member(&self.config, &self.group, &self.member);
        let consumer: BaseConsumer<MemberContext> =
            properties.create_with_context(MemberContext::default()).map_err(error::client)?;
        consumer
            .subscribe(&[&self.config.topic])
            .map_err(|error| not_done(format!("{self} cannot subscribe"), error))?;
        Ok(consumer)
    }
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member {} of group {} on topic {}", self.member, self.group, self.config.topic)
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seat").field("group", &self.group).field("member", &self.member).finish_non_exhaustive()
    }
}

/// Starts the thread of a member, and returns when it has its consumer. It ends with [`Command::Leave`].
pub(super) async fn start(seat: Arc<Seat>) -> PortResult<Sender<Command>> {
    let (commands, inbox) = mpsc::channel();
    let (reply, ready) = oneshot::channel();
    let own_commands = commands.clone();
    let name = seat.to_string();
    thread::Builder::new()
        .name("kafka-member".into())
        .spawn(move || {
            let consumer = match seat.sit_down() {
                Ok(consumer) => consumer,
                Err(error) => {
                    let _ = reply.send(Err(error));
                    return;
                }
            };
            let member = MemberThread::new(seat, consumer, own_commands, Inbox::new(inbox));
            // Where nobody waits for the seat any more, it is given up at once.
            if reply.send(Ok(())).is_ok() {
                member.run();
            }
        })
        .map_err(|error| PortError::not_done(format!("no thread for {name}")).caused_by(error))?;
    ready.await.unwrap_or_else(|_| Err(PortError::operator(format!("the thread of {name} ended at once"))))?;
    Ok(commands)
}

/// Partitions that the user has to let go of.
struct LettingGo {
    guard: u64,
    until: Instant,
    partitions: Vec<Partition>,
}

/// What the thread holds.
pub(super) struct MemberThread {
    pub(super) seat: Arc<Seat>,
    /// None where the member was silent for too long.
    pub(super) consumer: Option<BaseConsumer<MemberContext>>,
    commands: Sender<Command>,
    inbox: Inbox,
    pub(super) reading: Reading,
    /// A change of the group that was not told yet, as something has to be looked up for it first.
    change: Option<Change>,
    letting_go: Option<LettingGo>,
    failure: Option<PortError>,
    heard_at: Instant,
    guards: u64,
}

impl MemberThread {
    fn new(seat: Arc<Seat>, consumer: BaseConsumer<MemberContext>, commands: Sender<Command>, inbox: Inbox) -> Self {
        Self {
            seat,
            consumer: Some(consumer),
            commands,
            inbox,
            reading: Reading::default(),
            change: None,
            letting_go: None,
            failure: None,
            heard_at: Instant::now(),
            guards: 0,
        }
    }

    fn run(mut self) {
        loop {
            let command = self.inbox.next(self.wakes_at());
            // A process that was stopped wakes up with a command as likely as with its time being over.
            self.die_if_silent();
            match command {
                None => self.let_go_if_due(),
                Some(Command::Next { limit, until, reply }) => {
                    let signal = self.next(limit, until);
                    self.heard_at = Instant::now();
                    // The receiver stays with the member until it has heard the answer, so this fails only when the member is gone.
                    let _ = reply.send(signal);
                }
                Some(Command::StartAt { partition, offset, reply }) => {
                    let _ = reply.send(self.seek(partition, offset));
                }
                Some(Command::Commit { offsets, reply }) => {
                    let _ = reply.send(self.commit(&offsets));
                }
                Some(Command::LetGo(guard)) => self.let_go(guard),
                Some(Command::StayAlive) => self.heard_at = Instant::now(),
                Some(Command::Hush) => {}
                Some(Command::Leave) => break,
            }
        }
        self.close();
    }

    /// When something has to be done though no command comes.
    fn wakes_at(&self) -> Option<Instant> {
        self.consumer.as_ref()?;
        let dies_at = self.heard_at + self.seat.config.session;
        Some(self.letting_go.as_ref().map_or(dies_at, |letting_go| letting_go.until.min(dies_at)))
    }

    /// A member that was not heard of for its session has lost its partitions, whatever the broker knows of it.
    fn die_if_silent(&mut self) {
        if self.consumer.is_some() && self.heard_at.elapsed() >= self.seat.config.session {
            tracing::warn!(seat = %self.seat, "silent for longer than its session, so it has lost its partitions");
            self.close();
        }
    }

    /// Closes the consumer. A static member does not leave: its heartbeats end, and the session decides. What the member had is not its
    /// own any more; the next signal says so.
    fn close(&mut self) {
        let Some(consumer) = self.consumer.take() else { return };
        consumer.context().close();
        // librdkafka waits for every change to be followed before it closes.
        let let_go = self.letting_go.take().map(|letting_go| Change::Revoked(letting_go.partitions));
        let pending: Vec<_> = let_go.into_iter().chain(self.change.take()).collect();
        let seat = Arc::clone(&self.seat);
        // Nobody waits for it: it takes a while, and librdkafka may wait for ever in it (its issue 4884: it may be done with the group
        // before it has told of a change, and then never answers who follows that change).
        let closing = move || close(&consumer, pending, &seat);
        if let Err(error) = thread::Builder::new().name("kafka-closing".into()).spawn(closing) {
            tracing::warn!(seat = %self.seat, %error, "no thread to close a consumer in; it was dropped as it was");
        }
    }

    /// Polls until there is something to say or time is up. Polls at least once.
    fn next(&mut self, limit: usize, until: Instant) -> PortResult<LogSignal> {
        loop {
            if let Some(signal) = self.news()? {
                return Ok(signal);
            }
            let slice = SLICE.min(until.saturating_duration_since(Instant::now()));
            let records = self.poll(limit, slice)?;
            if !records.is_empty() {
                return Ok(LogSignal::Records(records));
            }
            if let Some(signal) = self.news()? {
                return Ok(signal);
            }
            match self.inbox.interruption() {
                Interruption::LetGo(guard) => self.let_go(guard),
                Interruption::Stop => return Ok(LogSignal::Idle),
                Interruption::None if Instant::now() >= until => return Ok(LogSignal::Idle),
                Interruption::None => {}
            }
        }
    }

    /// What is to be told before any record: failures, and what the group has done.
    fn news(&mut self) -> PortResult<Option<LogSignal>> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        self.let_go_if_due();
        let consumer = match &mut self.consumer {
            Some(consumer) => consumer,
            none => {
                // What it had is another's by now. It hears so before anything else.
                let lost = self.reading.remove_all();
                if !lost.is_empty() {
                    return Ok(Some(LogSignal::Revoked(lost, RevokeGuard::new(()))));
                }
                none.insert(self.seat.sit_down()?)
            }
        };
        if self.change.is_none() {
            self.change = consumer.context().take_change();
        }
        match self.change.clone() {
            None => Ok(None),
            Some(Change::Assigned(partitions)) => self.take_up(&partitions),
            Some(Change::Revoked(partitions)) => {
                self.change = None;
                Ok(self.hand_over(partitions))
            }
            Some(change @ Change::Lost(_)) => {
                self.change = None;
                self.follow_or_die(&change);
                let Change::Lost(partitions) = change else { return Ok(None) };
                let lost = self.reading.remove(&partitions);
                Ok((!lost.is_empty()).then(|| LogSignal::Revoked(lost, RevokeGuard::new(()))))
            }
        }
    }

    /// Takes up partitions, and leaves them silent. Where the group's offsets cannot be had, the group waits until the next attempt.
    fn take_up(&mut self, partitions: &[Partition]) -> PortResult<Option<LogSignal>> {
        let Some(consumer) = &self.consumer else { return Ok(None) };
        let config = &self.seat.config;
        let mut assignments = Vec::with_capacity(partitions.len());
        let mut list = list_of(&config.topic, partitions);
        if !partitions.is_empty() {
            // The wait must not take longer than the member may be silent.
            let wait_max = config.answer_wait_max.min(config.session / 2);
            let committed = consumer.committed_offsets(list_of(&config.topic, partitions), wait_max);
            let what = || format!("the offsets of {} cannot be looked up", self.seat);
            let committed = committed.map_err(|error| not_done(what(), error))?;
            for partition in partitions {
                let number = i32::from(partition.number());
                let element = committed.find_partition(&config.topic, number);
                let offset = match element.as_ref().map(|element| (element.error(), element.offset())) {
                    Some((Ok(()), KafkaOffset::Offset(offset))) => u64::try_from(offset).unwrap_or_default(),
                    Some((Err(error), _)) => return Err(not_done(what(), error)),
                    // It never committed.
                    Some((Ok(()), _)) | None => 0,
                };
                let start = KafkaOffset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
                list.set_partition_offset(&config.topic, number, start).map_err(error::partition_list)?;
                assignments.push(Assignment { partition: *partition, committed: Offset(offset) });
            }
        }
        self.change = None;
        let taken_up = consumer.incremental_assign(&list).and_then(|()| consumer.pause(&list));
        if let Err(error) = taken_up {
            tracing::warn!(seat = %self.seat, %error, "partitions cannot be taken up; joining anew");
            self.close();
            return Ok(None);
        }
        for assignment in &assignments {
            self.reading.add(assignment.partition);
        }
        Ok((!assignments.is_empty()).then_some(LogSignal::Assigned(assignments)))
    }

    /// Lets the user finish with partitions that are taken away.
    fn hand_over(&mut self, partitions: Vec<Partition>) -> Option<LogSignal> {
        let own = self.reading.remove(&partitions);
        if own.is_empty() {
            self.follow_or_die(&Change::Revoked(partitions));
            return None;
        }
        self.guards += 1;
        let (guard, until) = (self.guards, Instant::now() + self.seat.config.revoke_wait_max);
        self.letting_go = Some(LettingGo { guard, until, partitions });
        let release = LetGo { commands: self.commands.clone(), guard };
        Some(LogSignal::Revoked(own, RevokeGuard::new(release)))
    }

    fn let_go_if_due(&mut self) {
        if let Some(letting_go) = self.letting_go.as_ref().filter(|letting_go| letting_go.until <= Instant::now()) {
            let waited = self.seat.config.revoke_wait_max;
            tracing::warn!(seat = %self.seat, ?waited, "did not let go of its partitions in time, so the group goes on");
            self.let_go(letting_go.guard);
        }
    }

    /// The group goes on, where it still waits for this guard.
    fn let_go(&mut self, guard: u64) {
        if let Some(letting_go) = self.letting_go.take_if(|letting_go| letting_go.guard == guard) {
            self.follow_or_die(&Change::Revoked(letting_go.partitions));
        }
    }

    /// Tells librdkafka that a change was followed. Where it does not agree on what the member has, the member begins anew.
    fn follow_or_die(&mut self, change: &Change) {
        let Some(consumer) = &self.consumer else { return };
        if let Err(error) = follow(consumer, &self.seat.config.topic, change) {
            tracing::warn!(seat = %self.seat, %error, ?change, "a change of the group cannot be followed; joining anew");
            self.close();
        }
    }

    /// Whether the user may still commit a partition that is taken away.
    pub(super) fn is_letting_go_of(&self, partition: Partition) -> bool {
        self.letting_go.as_ref().is_some_and(|letting_go| letting_go.partitions.contains(&partition))
    }

    /// Fetched records, waiting for the first.
    fn poll(&mut self, limit: usize, wait: Duration) -> PortResult<Vec<LogRecord>> {
        let Some(consumer) = &self.consumer else { return Ok(Vec::new()) };
        let topic = &self.seat.config.topic;
        let (mut records, mut garbled) = (Vec::new(), Vec::new());
        let mut wait = wait;
        while records.len() < limit {
            let Some(polled) = consumer.poll(wait) else { break };
            wait = Duration::ZERO;
            match polled {
                Ok(record) => {
                    let Some((partition, offset)) = place(&record) else { continue };
                    match self.reading.take(topic, partition, offset, &record) {
                        Fetched::Record(record) => records.push(record),
                        Fetched::Nothing => {}
                        Fetched::Garbled(partition, error) => {
                            garbled.push(partition);
                            self.failure = Some(error);
                        }
                    }
                }
                // One is told, and what stands behind it is heard all the same: while brokers are away every attempt to reach one leaves a
                // failure in the queue, hundreds in a minute, and the change of the group comes after the last of them.
                Err(error) => {
                    if let Some(failure) = self.judge(error) {
                        self.failure = Some(failure);
                    }
                }
            }
        }
        if let Err(error) = consumer.pause(&list_of(topic, &garbled)) {
            // What is fetched of them all the same is passed over.
            tracing::debug!(seat = %self.seat, %error, ?garbled, "partitions cannot be paused");
        }
        Ok(records)
    }

    /// Whether an error that librdkafka reports is one for the user. It goes on trying by itself.
    fn judge(&self, error: KafkaError) -> Option<PortError> {
        match error {
            KafkaError::MessageConsumptionFatal(code) => {
                let advice = advice(code).unwrap_or("start the process again");
                Some(PortError::operator(format!("{} is shut out: {code}; {advice}", self.seat)))
            }
            KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown) => {
                let servers = &self.seat.config.bootstrap_servers;
                Some(PortError::not_done(format!("{} reaches no broker of {servers}", self.seat)))
            }
            KafkaError::MessageConsumption(code) if advice(code).is_some() => {
                Some(not_done(format!("{} cannot read", self.seat), error))
            }
            error => {
                tracing::debug!(seat = %self.seat, %error, "librdkafka tries again");
                None
            }
        }
    }

    /// Reads a partition from an offset on. Where that fails, it stays silent until it is started again.
    fn seek(&mut self, partition: Partition, offset: Offset) -> PortResult<()> {
        let what = || format!("{} cannot read partition {partition} from offset {}", self.seat, offset.0);
        if !self.reading.has(partition) {
            return Err(PortError::operator(format!("partition {partition} is not that of {}", self.seat)));
        }
        // The member is dead and has not heard of it yet: it hears so next, and no record of the partition follows.
        let Some(consumer) = &self.consumer else { return Ok(()) };
        let start = i64::try_from(offset.0).map_err(|_| PortError::operator(format!("{}: it is too large", what())))?;
        let (topic, wait_max) = (&self.seat.config.topic, self.seat.config.answer_wait_max);
        let list = list_of(topic, &[partition]);
        // A paused partition fetches nothing between the two.
        let sought = if self.reading.is_started(partition) { consumer.pause(&list) } else { Ok(()) }
            .and_then(|()| consumer.seek(topic, i32::from(partition.number()), KafkaOffset::Offset(start), wait_max))
            .and_then(|()| consumer.resume(&list));
        if let Err(error) = sought {
            let error = not_done(what(), error);
            self.reading.silence(partition);
            return Err(error);
        }
        self.reading.start(partition, offset.0);
        Ok(())
    }
}

/// Follows what the group has done and nobody will hear of any more. Dropping the consumer then closes it.
fn close(consumer: &BaseConsumer<MemberContext>, pending: Vec<Change>, seat: &Seat) {
    for change in pending.into_iter().chain(std::iter::from_fn(|| consumer.context().take_change())) {
        if let Err(error) = follow(consumer, &seat.config.topic, &change) {
            tracing::debug!(%seat, %error, "a change of the group at the end of a member");
        }
    }
}
