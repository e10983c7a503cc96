//! Readers that query at random and check every answer against the committed events.

use std::{collections::HashMap, time::Duration};

use bytes::Bytes;
use diptych_kernel::{Partition, StreamId, Token};
use diptych_query::{Answer, Page, QueryError, ReadAt};
use rand::{Rng, SeedableRng, rngs::SmallRng, seq::IndexedRandom};
use tokio::time::Instant;

use super::{
    ENTRIES, SEATS, Simulation, TOTALS,
    committed_events::{partition_of, streams},
    random_projector::total_key,
};
use crate::harness::{after, key, partitions, text};

const QUERIES: usize = 40;

/// Numbers of answers and errors that readers received.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) answered: u64,
    pub(crate) behind: u64,
    pub(crate) unavailable: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.answered += other.answered;
        self.behind += other.behind;
        self.unavailable += other.unavailable;
    }

    pub(crate) fn refused(&self) -> u64 {
        self.behind + self.unavailable
    }
}

struct RandomReader<'a> {
    simulation: &'a Simulation,
    /// The tokens of all answers so far, and at times a newer one.
    token: Token,
    /// The rows as last seen: of streams, sums, and the list of all streams.
    seen: HashMap<String, i64>,
    deadline: Instant,
}

/// Runs random queries.
pub(crate) async fn read(simulation: &Simulation, seed: u64) -> Counts {
    let mut rng = SmallRng::seed_from_u64(seed ^ 0x000d_1ce5);
    let mut reader =
        RandomReader { simulation, token: Token::default(), seen: HashMap::new(), deadline: Instant::now() };
    let mut counts = Counts::default();
    for _ in 0..QUERIES {
        diptych_runtime::pause(Duration::from_millis(rng.random_range(0..=5))).await;
        if rng.random_bool(0.3) {
            reader.raise(&simulation.committed.borrow().token());
        }
        reader.deadline = after(rng.random_range(1..40));
        match reader.query(&mut rng).await {
            Ok(()) => counts.answered += 1,
            Err(QueryError::Behind { required, reached, partition, .. }) => {
                assert!(reached < required, "{reached} is not behind {required}");
                assert_eq!(reader.token.position(partition), required);
                counts.behind += 1;
            }
            Err(QueryError::Unavailable) => counts.unavailable += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    counts
}

/// Reads everything once, with the token of all events.
pub(crate) async fn read_all(simulation: &Simulation) {
    let token = simulation.committed.borrow().token();
    let mut reader = RandomReader { simulation, token, seen: HashMap::new(), deadline: after(10_000) };
    for stream in streams() {
        reader.get(&stream).await.unwrap();
        reader.entries(&stream).await.unwrap();
    }
    reader.get_many(&streams()).await.unwrap();
    reader.totals().await.unwrap();
    reader.list().await.unwrap();
}

impl RandomReader<'_> {
    async fn query(&mut self, rng: &mut SmallRng) -> Result<(), QueryError> {
        let stream = streams().choose(rng).unwrap().clone();
        match rng.random_range(0..8) {
            0..4 => self.get(&stream).await,
            4 => self.get_many(&streams()).await,
            5 => self.totals().await,
            6 => self.entries(&stream).await,
            _ => self.list().await,
        }
    }

    async fn get(&mut self, stream: &StreamId) -> Result<(), QueryError> {
        let answer = self.simulation.reader.get(SEATS, stream, key(stream), &self.token, self.deadline).await?;
        let at = number(answer.value);
        // For a single row the token states the exact freshness.
        self.check_up_to(stream, at, answer.read_at.token.position(partition_of(stream)).as_i64());
        self.check_row(stream, at, &answer.read_at);
        self.raise(&answer.read_at.token);
        Ok(())
    }

    async fn get_many(&mut self, streams: &[StreamId]) -> Result<(), QueryError> {
        let keys: Vec<_> = streams.iter().map(|stream| (stream.clone(), key(stream))).collect();
        let answer = self.simulation.reader.get_many(SEATS, &keys, &self.token, self.deadline).await?;
        assert_eq!(answer.value.len(), streams.len());
        for (stream, body) in streams.iter().zip(answer.value) {
            self.check_row(stream, number(body), &answer.read_at);
        }
        self.raise(&answer.read_at.token);
        Ok(())
    }

    async fn totals(&mut self) -> Result<(), QueryError> {
        let keys: Vec<_> = partitions().iter().map(|partition| (partition, total_key(partition))).collect();
        let answer = self.simulation.reader.get_partials(TOTALS, &keys, &self.token, self.deadline).await?;
        for ((partition, _), body) in keys.iter().zip(answer.value) {
            let count = number(body);
            for up_to in [&self.token, &answer.read_at.token] {
                let least = self.simulation.committed.borrow().count(*partition, up_to.position(*partition).as_i64());
                assert!(count >= i64::try_from(least).unwrap(), "sum of {partition} is {count}, not {least}");
            }
            self.check_forward(format!("sum-{partition}"), count);
        }
        self.raise(&answer.read_at.token);
        Ok(())
    }

    async fn entries(&mut self, stream: &StreamId) -> Result<(), QueryError> {
        let partition = Some(partition_of(stream));
        let answer = self.scan(partition, Some(stream), stream.as_str()).await?;
        let entries: Vec<_> = answer.value.rows.into_iter().map(|(_, body)| number(Some(body))).collect();
        let required = self.token.position(partition_of(stream)).as_i64();
        for up_to in [required, micros(&answer.read_at) / 1_000_000] {
            let expected = self.simulation.committed.borrow().events_of(stream, up_to);
            assert!(expected.iter().all(|at| entries.contains(at)), "{stream}: {entries:?} lacks some of {expected:?}");
        }
        self.raise(&answer.read_at.token);
        Ok(())
    }

    async fn list(&mut self) -> Result<(), QueryError> {
        let answer = self.scan(None, None, "all").await?;
        let listed: HashMap<_, _> =
            answer.value.rows.into_iter().map(|(name, body)| (text(Some(name)), number(Some(body)))).collect();
        for stream in streams() {
            let at = listed.get(stream.as_str()).copied().unwrap_or(0);
            self.check_up_to(&stream, at, self.token.position(partition_of(&stream)).as_i64());
            self.check_up_to(&stream, at, answer.read_at.token.position(partition_of(&stream)).as_i64());
            self.check_up_to(&stream, at, micros(&answer.read_at) / 1_000_000);
            self.check_forward(format!("listed-{stream}"), at);
        }
        self.raise(&answer.read_at.token);
        Ok(())
    }

    async fn scan(
        &self,
        partition: Option<Partition>,
        stream: Option<&StreamId>,
        group: &str,
    ) -> Result<Answer<Page>, QueryError> {
        let answer = self
            .simulation
            .reader
            .scan(ENTRIES, partition, stream, group, None, 1_000, &self.token, self.deadline)
            .await?;
        assert!(!answer.value.more);
        Ok(answer)
    }

    fn check_row(&mut self, stream: &StreamId, at: i64, read_at: &ReadAt) {
        assert_eq!(self.simulation.committed.borrow().last_of(stream, at), at, "{stream}: there is no event {at}");
        self.check_up_to(stream, at, self.token.position(partition_of(stream)).as_i64());
        self.check_up_to(stream, at, micros(read_at) / 1_000_000);
        self.check_forward(stream.to_string(), at);
    }

    /// Checks that the row contains every event of its stream up to a position.
    fn check_up_to(&self, stream: &StreamId, at: i64, up_to: i64) {
        let least = self.simulation.committed.borrow().last_of(stream, up_to);
        assert!(at >= least, "{stream}: the row is at {at}, older than {least}, and should be current up to {up_to}");
    }

    fn check_forward(&mut self, row: String, at: i64) {
        let seen = self.seen.entry(row).or_insert(at);
        assert!(*seen <= at, "the row went back from {seen} to {at}");
        *seen = at;
    }

    fn raise(&mut self, token: &Token) {
        token.iter().for_each(|(partition, at)| self.token.raise(partition, at));
    }
}

fn number(body: Option<Bytes>) -> i64 {
    body.map_or(0, |body| text(Some(body)).parse().unwrap())
}

fn micros(read_at: &ReadAt) -> i64 {
    read_at.complete_up_to.map_or(0, diptych_kernel::Timestamp::as_micros)
}
