//! What must come out.

use std::sync::Arc;

use diptych_kernel::{
    Receipt, RequestId, Token,
    testing::theatre::{Command, Refusal},
};

/// A command of a caller.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Its name.
    pub request_id: RequestId,
    /// What is asked for.
    pub command: Arc<Command>,
}

/// What a caller was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It is stored, for ever.
    Stored(Receipt),
    /// A rule says no; nothing is stored.
    Refused(Refusal),
    /// The process died before there was an answer.
    Nothing,
}

/// All that callers know.
#[derive(Clone, Debug, Default)]
pub struct Knowledge {
    entries: Vec<(Asked, Told)>,
}

impl Knowledge {
    /// Adds what one caller was told.
    pub fn note(&mut self, asked: Asked, told: Told) {
        self.entries.push((asked, told));
    }

    /// Everything, in the order of noting.
    pub fn entries(&self) -> impl Iterator<Item = &(Asked, Told)> {
        self.entries.iter()
    }

    /// Commands whose callers do not know what became of them.
    #[must_use]
    pub fn open(&self) -> Vec<Asked> {
        let open = self.entries.iter().filter(|(_, told)| *told == Told::Nothing);
        open.map(|(asked, _)| asked.clone()).collect()
    }

    /// Replaces what the caller of a command knows.
    pub fn settle(&mut self, request_id: RequestId, told: &Told) {
        for (_, known) in self.entries.iter_mut().filter(|(asked, _)| asked.request_id == request_id) {
            *known = told.clone();
        }
    }

    /// A token that is as fresh as every receipt.
    #[must_use]
    pub fn token(&self) -> Token {
        let receipts = self.entries.iter().filter_map(|(_, told)| match told {
            Told::Stored(receipt) => Some(receipt),
            _ => None,
        });
        receipts.flat_map(|receipt| receipt.token().iter().collect::<Vec<_>>()).collect()
    }
}
