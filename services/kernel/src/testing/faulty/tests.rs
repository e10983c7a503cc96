use super::*;
use crate::{ports::Effect, testing::block_on};

async fn call(faults: &FaultInjector, done: &AtomicU64) -> PortResult<()> {
    faults
        .intercept("call", async {
            done.fetch_add(1, Ordering::SeqCst);
            Ok(())
        })
        .await
}

#[test]
fn all_four_call_outcomes_occur() {
    let faults = FaultInjector::new(1, 0.5);
    let mut seen = [0_u32; 4];
    for _ in 0..1_000 {
        let done = AtomicU64::new(0);
        let result = block_on(call(&faults, &done)).map_err(|error| error.effect());
        let outcome = match (done.into_inner(), result) {
            (1, Ok(())) => 0,
            (0, Err(Effect::None)) => 1,
            (1, Err(Effect::Unknown)) => 2,
            (0, Err(Effect::Unknown)) => 3,
            other => panic!("this may not happen: {other:?}"),
        };
        seen[outcome] += 1;
    }
    assert!(seen.iter().all(|count| *count > 100), "{seen:?}");
    assert_eq!(faults.faults_count(), u64::from(seen[1] + seen[2] + seen[3]));
    assert_eq!(faults.calls_count(), 1_000);
}

#[test]
fn the_same_seed_injects_the_same_faults() {
    let outcomes = |seed| {
        let faults = FaultInjector::new(seed, 0.5);
        (0..100).map(|_| faults.next_outcome()).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(7), outcomes(7));
    assert_ne!(outcomes(7), outcomes(8));
}

#[test]
fn a_disabled_injector_injects_no_faults() {
    let faults = FaultInjector::new(1, 1.0);
    faults.disable();
    assert_eq!(faults.next_outcome(), CallOutcome::Done);
    faults.enable();
    assert_ne!(faults.next_outcome(), CallOutcome::Done);
}

#[test]
fn no_call_takes_effect_after_a_crash() {
    let mut in_flight = [0_u64; 2];
    for seed in 0..50 {
        let (faults, done) = (FaultInjector::crash_only(seed), AtomicU64::new(0));
        faults.crash_after(3);
        for _ in 0..3 {
            block_on(call(&faults, &done)).unwrap();
        }
        assert!(!faults.has_crashed());
        for _ in 0..5 {
            assert_eq!(block_on(call(&faults, &done)).unwrap_err().effect(), Effect::Unknown);
            assert!(faults.has_crashed());
        }
        let done = done.into_inner();
        assert!((3..=4).contains(&done), "{done}");
        in_flight[usize::try_from(done).unwrap() - 3] += 1;
        faults.restart();
        block_on(call(&faults, &AtomicU64::new(0))).unwrap();
    }
    assert!(in_flight.iter().all(|count| *count > 5), "{in_flight:?}");
}
