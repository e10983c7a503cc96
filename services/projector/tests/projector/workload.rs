//! Random valid events of the theatre, by a seed.

use std::collections::HashMap;

use diptych_kernel::{
    StreamId,
    domain::Domain,
    testing::theatre::{Command, Event, Seat, Theatre, seat},
};
use rand::{Rng, SeedableRng, rngs::SmallRng};

const SEATS: u32 = 12;
const GUESTS: u32 = 4;

/// A theatre whose guests reserve, release and swap seats at random.
pub(crate) struct TheatreWorkload {
    pub(crate) dice: SmallRng,
    seats: HashMap<StreamId, Seat>,
}

impl TheatreWorkload {
    pub(crate) fn new(seed: u64) -> Self {
        Self { dice: SmallRng::seed_from_u64(seed), seats: HashMap::new() }
    }

    /// The events of the next command that the rules allow.
    pub(crate) fn next(&mut self) -> Vec<(StreamId, Event)> {
        loop {
            let command = self.command();
            let streams = Theatre::streams(&command);
            let states: Vec<Seat> = streams.iter().map(|id| self.seats.get(id).cloned().unwrap_or_default()).collect();
            let Ok(events) = Theatre::decide(&states, &command) else { continue };
            let events: Vec<_> = events.into_iter().map(|(index, event)| (streams[index].clone(), event)).collect();
            for (stream_id, event) in &events {
                Theatre::evolve(self.seats.entry(stream_id.clone()).or_default(), event);
            }
            return events;
        }
    }

    fn command(&mut self) -> Command {
        let [a, b] = [(); 2].map(|()| self.dice.random_range(0..SEATS).to_string());
        match self.dice.random_range(0..4) {
            0 => Command::release(&a),
            1 => Command::Swap { seat_a: seat(&a), seat_b: seat(&b) },
            _ => Command::reserve(&a, &format!("guest-{}", self.dice.random_range(0..GUESTS))),
        }
    }
}
