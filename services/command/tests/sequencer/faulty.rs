//! Results of commands are correct whatever faults the store has.

use std::{sync::Arc, time::Duration};

use diptych_command::{CommandError, SequencerConfig, Submission};
use diptych_embedded::EmbeddedEventStore;
use diptych_kernel::{
    Version,
    ports::EventStore,
    testing::{
        faulty::{FaultInjector, FaultyEventStore},
        theatre::{Command, seat},
        with_seed,
    },
};
use futures::future::join_all;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    probe::Probe,
    process::{
        CommandResult, Process, embedded, events_of_request, history, is_lawful, random_command, request_id, submission,
    },
};

const SEATS: [&str; 3] = ["A1", "B2", "C3"];
const SEEDS: u64 = 300;
const CALLERS: u64 = 6;
const COMMANDS_PER_CALLER: u128 = 8;

/// A command that a caller has sent, once or more.
struct Sent {
    id: u128,
    command: Command,
    expected_version: Option<Version>,
}

impl Sent {
    fn random(random: &mut SmallRng, id: u128) -> Self {
        let command = random_command(random, &SEATS, &format!("guest-{id}"));
        let expected_version = random.random_bool(0.2).then(|| Version::new(random.random_range(0..12)));
        Self { id, command, expected_version }
    }

    async fn send(&self, process: &Process) -> CommandResult {
        let submission = submission(self.id, self.command.clone());
        process.handle.try_submit(Submission { expected_version: self.expected_version, ..submission })?.await
    }
}

/// One run: two processes on a faulty store, and the real store behind it.
struct FaultyRun {
    processes: [Process; 2],
    stored: Arc<EmbeddedEventStore>,
}

impl FaultyRun {
    fn new(faults: &FaultInjector) -> Self {
        let stored = embedded();
        let faulty = Arc::new(Probe::new(Arc::new(FaultyEventStore::new(Arc::clone(&stored), faults.clone()))));
        // Short, so that some outcomes stay unknown at the timeout.
        let config = SequencerConfig { commit_timeout: Duration::from_millis(60), ..SequencerConfig::default() };
        Self { processes: [Process::with(&faulty, config.clone()), Process::with(&faulty, config)], stored }
    }

    fn any_process(&self, random: &mut SmallRng) -> &Process {
        &self.processes[random.random_range(0..2)]
    }

    /// Sends commands one after another, and repeats each until its outcome is final. Returns the final results, and
    /// how often an outcome was unknown.
    async fn call(&self, seed: u64, caller: u64) -> (Vec<(Sent, CommandResult)>, usize) {
        let mut random = SmallRng::seed_from_u64(seed * CALLERS + caller);
        let mut results = Vec::new();
        let mut unknown = 0;
        for turn in 0..COMMANDS_PER_CALLER {
            let sent = Sent::random(&mut random, u128::from(caller) * 1_000 + turn);
            let first = sent.send(self.any_process(&mut random)).await;
            self.check_result(&sent, &first).await;
            assert!(!matches!(&first, Ok(done) if done.repeated), "{}: it had not been sent before", sent.id);

            let mut result = first;
            while matches!(
                result,
                Err(CommandError::OutcomeUnknown | CommandError::Unavailable | CommandError::Contention { .. })
            ) {
                unknown += usize::from(result == Err(CommandError::OutcomeUnknown));
                result = sent.send(self.any_process(&mut random)).await;
            }
            self.check_result(&sent, &result).await;
            results.push((sent, result));
        }
        (results, unknown)
    }

    /// Compares a result with what is really stored.
    async fn check_result(&self, sent: &Sent, result: &CommandResult) {
        let Sent { id, command, .. } = sent;
        let stored = self.stored.load(&[], 0, &[request_id(*id)]).await.unwrap().requests.pop();
        match (result, stored) {
            (Ok(done), Some(stored)) => {
                assert_eq!(Some(&done.receipt), stored.receipt(), "request {id} {command:?}");
                assert!(events_of_request(&*self.stored, *id).await > 0, "request {id} {command:?}");
            }
            (Err(CommandError::OutcomeUnknown), _) => {}
            (
                Err(CommandError::Refused(_) | CommandError::RefusedBefore(_) | CommandError::VersionMismatch { .. }),
                Some(stored),
            ) => {
                assert!(stored.receipt().is_none(), "request {id} {command:?}: {result:?}, but {stored:?}");
                assert_eq!(events_of_request(&*self.stored, *id).await, 0, "request {id} {command:?}: {result:?}");
            }
            (Err(CommandError::Contention { .. } | CommandError::Unavailable), None) => {
                assert_eq!(events_of_request(&*self.stored, *id).await, 0, "request {id} {command:?}: {result:?}");
            }
            (result, stored) => panic!("request {id} {command:?}: {result:?}, but {stored:?}"),
        }
    }
}

/// Returns how often an outcome was unknown.
async fn check_results_of(seed: u64) -> usize {
    let faults = FaultInjector::with_one_of(seed, [0.2, 0.4, 0.6]);
    let run = FaultyRun::new(&faults);
    let (results, unknown): (Vec<_>, Vec<_>) =
        join_all((0..CALLERS).map(|caller| run.call(seed, caller))).await.into_iter().unzip();
    // Delayed effects have happened after these, or never will.
    faults.disable();
    for id in 0..20 {
        run.processes[0].run(1_000_000 + id, Command::reserve(&format!("D{id}"), "ada")).await.unwrap();
    }
    for (sent, result) in results.iter().flatten() {
        run.check_result(sent, result).await;
        let again = sent.send(&run.processes[1]).await;
        match result {
            Ok(done) => {
                let again = again.unwrap();
                assert!(again.repeated && again.receipt == done.receipt, "request {}: {again:?}", sent.id);
            }
            Err(refused) => {
                // The same refusal, whatever the rules say now.
                let Err(CommandError::RefusedBefore(earlier)) = again else { panic!("{refused:?}, then {again:?}") };
                let refused = if let CommandError::RefusedBefore(refused) = refused { &**refused } else { refused };
                assert_eq!(*earlier, *refused, "request {}", sent.id);
            }
        }
    }
    for name in SEATS {
        let history = history(&*run.stored, &seat(name)).await;
        assert!(is_lawful(&history), "{name}: {history:?}");
    }
    for process in run.processes {
        process.stop().await;
    }
    unknown.iter().sum()
}

#[tokio::test(start_paused = true)]
async fn results_are_correct_on_a_faulty_store() {
    let mut unknown = 0;
    for seed in 0..SEEDS {
        unknown += with_seed(seed, check_results_of(seed)).await;
    }
    assert!(unknown > 100, "outcomes were unknown only {unknown} times, too few for this test");
}
