//! What a connection is asked and what it answers, and both in the words of the protocol.

use bytes::Bytes;
use diptych_kernel::ports::FillLease;
use memcache::exp::{
    DeleteOptions, Error, GetOptions, MetaCommand, MetaResponse, ReturnCode, SetOptions, build_delete, build_get,
    build_set, parse_meta_result,
};

use crate::key::Key;

/// Which item it was that stood under a key: what the server calls its CAS unique, mixed with a number that the connection has drawn.
///
/// A server counts from 1 again when it starts. With its bare numbers, a reader from before could take the first item of the new life for
/// the one that it knew. A mark means nothing on another connection, and a connection does not survive its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(u64);

impl Mark {
    fn of(cas: u64, salt: Salt) -> Self {
        Self(cas ^ salt.0)
    }

    fn cas(self, salt: Salt) -> u64 {
        self.0 ^ salt.0
    }
}

impl From<FillLease> for Mark {
    fn from(lease: FillLease) -> Self {
        Self(lease.0)
    }
}

impl From<Mark> for FillLease {
    fn from(mark: Mark) -> Self {
        Self(mark.0)
    }
}

/// The number that a connection mixes into marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Salt(u64);

impl Salt {
    /// The highest bit is always set. The counters of servers do not get there, so no mark is 0.
    pub(crate) fn from_random(random: u64) -> Self {
        Self(random | 1 << 63)
    }
}

/// Something to do with one key. Nothing is ever stored without saying what it may replace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    /// Says what is there.
    Look {
        key: Key,
        /// Where there is nothing, put a placeholder there for so many seconds, 1 or more.
        hold_s: Option<u32>,
    },
    /// Puts a value in the place of exactly this item.
    Put { key: Key, mark: Mark, value: Bytes, ttl_s: u32 },
    /// Takes away what is there, or exactly this item.
    Delete { key: Key, mark: Option<Mark> },
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// Nothing is there.
    Absent,
    /// There is a placeholder, put there by this look.
    Held(Mark),
    /// There is a placeholder, put there by somebody else.
    Taken(Mark),
    /// There is a value.
    Value {
        mark: Mark,
        value: Bytes,
        /// It may be from before the server was out of reach, and older than what has been told since.
        is_doubtful: bool,
    },
    /// It was done.
    Done,
    /// Another item is there.
    Changed,
    /// The server did not do it, and gave a reason.
    Refused,
}

/// What a connection has to know to read answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) salt: Salt,
    /// Items with a smaller number than this are doubtful.
    pub(crate) floor: u64,
}

impl Command {
    pub(crate) fn key(&self) -> &Key {
        match self {
            Self::Look { key, .. } | Self::Put { key, .. } | Self::Delete { key, .. } => key,
        }
    }

    /// About how many bytes it takes to say it.
    pub(crate) fn bytes(&self) -> usize {
        const WORDS: usize = 64;
        let value = if let Self::Put { value, .. } = self { value.len() } else { 0 };
        WORDS + self.key().len() + value
    }

    /// The command with a number that its response has to repeat.
    pub(crate) fn to_wire(&self, number: usize, salt: Salt) -> Result<MetaCommand, Error> {
        let command = match self {
            Self::Look { key, hold_s } => {
                let mut options = GetOptions::default();
                options.value = true;
                options.return_cas = true;
                options.vivify_ttl = *hold_s;
                build_get(key, &options)?
            }
            Self::Put { key, mark, value, ttl_s } => {
                let mut options = SetOptions::default();
                options.ttl = Some(*ttl_s);
                options.compare_cas = Some(mark.cas(salt));
                build_set(key, value.as_ref(), &options)?
            }
            Self::Delete { key, mark } => {
                let mut options = DeleteOptions::default();
                options.compare_cas = mark.map(|mark| mark.cas(salt));
                build_delete(key, &options)?
            }
        };
        Ok(command.flag(format!("O{number}")))
    }

    /// What a response means. One to another command is an error: whatever comes after it would be somebody else's too.
    pub(crate) fn reply(&self, number: usize, terms: Terms, response: MetaResponse) -> Result<Reply, Error> {
        let answer = parse_meta_result(response)?;
        let repeated = answer.opaque.as_deref().and_then(|opaque| str::from_utf8(opaque).ok());
        if repeated.and_then(|opaque| opaque.parse().ok()) != Some(number) {
            return Err(Error::Protocol(format!(
                "the response to another command came in the place of number {number}"
            )));
        }
        match (self, answer.rc) {
            (_, ReturnCode::En | ReturnCode::Nf | ReturnCode::Ns) => Ok(Reply::Absent),
            (Self::Put { .. } | Self::Delete { .. }, ReturnCode::Hd) => Ok(Reply::Done),
            (Self::Put { .. } | Self::Delete { .. }, ReturnCode::Ex) => Ok(Reply::Changed),
            (Self::Look { .. }, ReturnCode::Va) => {
                let (Some(cas), Some(value)) = (answer.cas, answer.value) else {
                    return Err(Error::Protocol("an item came without its number or its value".into()));
                };
                let mark = Mark::of(cas, terms.salt);
                Ok(match (value.is_empty(), answer.won, answer.busy) {
                    (true, true, _) => Reply::Held(mark),
                    (true, false, true) => Reply::Taken(mark),
                    _ => Reply::Value { mark, value: value.into(), is_doubtful: cas < terms.floor },
                })
            }
            (_, code) => Err(Error::Protocol(format!("{code:?} is no response to what was asked"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { salt: Salt(0x8000_0000_0000_00f0), floor: 10 };

    fn look() -> Command {
        Command::Look { key: Key::from(*b"k"), hold_s: Some(3) }
    }

    fn put() -> Command {
        Command::Put { key: Key::from(*b"k"), mark: Mark::of(7, TERMS.salt), value: Bytes::from_static(b"v"), ttl_s: 9 }
    }

    fn words(command: &Command) -> String {
        String::from_utf8(command.to_wire(4, TERMS.salt).unwrap().encode().unwrap()).unwrap()
    }

    fn reply(command: &Command, header: &str) -> Result<Reply, Error> {
        command.reply(4, TERMS, MetaResponse::parse_header(header.as_bytes())?)
    }

    #[test]
    fn commands_are_said_in_the_words_of_the_protocol() {
        assert_eq!(words(&look()), "mg k v c N3 O4\r\n");
        assert_eq!(words(&Command::Look { key: Key::from(*b"k"), hold_s: None }), "mg k v c O4\r\n");
        assert_eq!(words(&put()), "ms k 1 T9 C7 O4\r\nv\r\n");
        assert_eq!(words(&Command::Delete { key: Key::from(*b"k"), mark: None }), "md k O4\r\n");
        let mark = Some(Mark::of(8, TERMS.salt));
        assert_eq!(words(&Command::Delete { key: Key::from(*b"k"), mark }), "md k C8 O4\r\n");
    }

    #[test]
    fn responses_are_understood() {
        assert_eq!(reply(&look(), "EN O4").unwrap(), Reply::Absent);
        assert_eq!(reply(&put(), "HD O4").unwrap(), Reply::Done);
        assert_eq!(reply(&put(), "EX O4").unwrap(), Reply::Changed);
        assert_eq!(reply(&put(), "NF O4").unwrap(), Reply::Absent);
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        for (command, header) in
            [(look(), "EN O5"), (look(), "EN"), (look(), "HD O4"), (put(), "EN4"), (put(), "MN"), (look(), "VA 1 O4")]
        {
            assert!(reply(&command, header).is_err(), "{command:?} {header}");
        }
    }

    #[test]
    fn a_mark_means_nothing_elsewhere() {
        let mark = Mark::of(7, TERMS.salt);
        assert_eq!(mark.cas(TERMS.salt), 7);
        let other = Salt::from_random(0x1234_5678_9abc_def0);
        assert_ne!(mark.cas(other), 7);
        assert_ne!(FillLease::from(Mark::of(1 << 62, Salt::from_random(1 << 62))), FillLease(0));
    }
}
