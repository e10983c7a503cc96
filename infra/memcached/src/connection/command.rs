//! Commands and replies of a connection, and their encoding in the meta protocol.

use bytes::Bytes;
use diptych_kernel::ports::FillLease;
use memcache::exp::{
    DeleteOptions, Error, GetOptions, MetaCommand, MetaResponse, ReturnCode, SetOptions, build_delete, build_get,
    build_set, parse_meta_result,
};

use crate::key::Key;

/// Identity of the item under a key: the server's CAS unique, XORed with a random mask of the connection.
///
/// A server counts from 1 again when it starts. With bare CAS uniques, a reader from before a restart could mistake a
/// new item for the one that it knew. A token is meaningless on another connection, and a connection does not survive a
/// restart of its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CasToken(u64);

impl CasToken {
    fn new(cas: u64, cas_mask: CasMask) -> Self {
        Self(cas ^ cas_mask.0)
    }

    fn unmask(self, cas_mask: CasMask) -> u64 {
        self.0 ^ cas_mask.0
    }
}

impl From<FillLease> for CasToken {
    fn from(lease: FillLease) -> Self {
        Self(lease.0)
    }
}

impl From<CasToken> for FillLease {
    fn from(cas: CasToken) -> Self {
        Self(cas.0)
    }
}

/// The random number that a connection XORs into CAS uniques.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CasMask(u64);

impl CasMask {
    /// Sets the highest bit. Servers' counters do not get that far, so no token is 0.
    pub(crate) fn from_random(random: u64) -> Self {
        Self(random | 1 << 63)
    }
}

/// A command for one key. Nothing is stored unconditionally: every store names the item that it may replace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum CacheCommand {
    /// Reads the item.
    Get {
        key: Key,
        /// On a miss, creates an empty placeholder with this time to live, 1 second or more.
        vivify_ttl_s: Option<u32>,
    },
    /// Replaces exactly this item by a value.
    CompareAndSet { key: Key, cas: CasToken, value: Bytes, ttl_s: u32 },
    /// Deletes the item; with `cas`, exactly this item.
    Delete { key: Key, cas: Option<CasToken> },
}

/// The result of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// There is no item.
    Absent,
    /// This read has created a placeholder.
    PlaceholderCreated(CasToken),
    /// There is a placeholder, created by another read.
    PlaceholderPresent(CasToken),
    /// There is a value.
    Value {
        cas: CasToken,
        value: Bytes,
        /// True if it was stored before more keys had failed than are kept: newer rows may have been returned to
        /// readers since.
        may_be_stale: bool,
    },
    /// The command was executed.
    Done,
    /// Another item is under the key.
    Conflict,
    /// The server refused the command with a reason.
    Refused,
}

/// The state of a connection that is needed to decode replies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReplyContext {
    pub(crate) cas_mask: CasMask,
    /// Items with a smaller CAS unique may be stale.
    pub(crate) cas_floor: u64,
}

impl CacheCommand {
    pub(crate) fn key(&self) -> &Key {
        match self {
            Self::Get { key, .. } | Self::CompareAndSet { key, .. } | Self::Delete { key, .. } => key,
        }
    }

    /// The approximate encoded size in bytes.
    pub(crate) fn bytes(&self) -> usize {
        const OVERHEAD: usize = 64;
        let value = if let Self::CompareAndSet { value, .. } = self { value.len() } else { 0 };
        OVERHEAD + self.key().len() + value
    }

    /// Encodes the command with a number (opaque token) that its response has to repeat.
    pub(crate) fn to_wire(&self, number: usize, cas_mask: CasMask) -> Result<MetaCommand, Error> {
        let command = match self {
            Self::Get { key, vivify_ttl_s } => {
                let mut options = GetOptions::default();
                options.value = true;
                options.return_cas = true;
                options.vivify_ttl = *vivify_ttl_s;
                build_get(key, &options)?
            }
            Self::CompareAndSet { key, cas, value, ttl_s } => {
                let mut options = SetOptions::default();
                options.ttl = Some(*ttl_s);
                options.compare_cas = Some(cas.unmask(cas_mask));
                build_set(key, value.as_ref(), &options)?
            }
            Self::Delete { key, cas } => {
                let mut options = DeleteOptions::default();
                options.compare_cas = cas.map(|cas| cas.unmask(cas_mask));
                build_delete(key, &options)?
            }
        };
        Ok(command.flag(format!("O{number}")))
    }

    /// Decodes a response. A response to another command is an error: all later ones would belong to other commands
    /// too.
    pub(crate) fn reply(&self, number: usize, context: ReplyContext, response: MetaResponse) -> Result<Reply, Error> {
        let answer = parse_meta_result(response)?;
        let repeated = answer.opaque.as_deref().and_then(|opaque| str::from_utf8(opaque).ok());
        if repeated.and_then(|opaque| opaque.parse().ok()) != Some(number) {
            return Err(Error::Protocol(format!(
                "received the response to another command in place of command {number}"
            )));
        }
        match (self, answer.rc) {
            (_, ReturnCode::En | ReturnCode::Nf | ReturnCode::Ns) => Ok(Reply::Absent),
            (Self::CompareAndSet { .. } | Self::Delete { .. }, ReturnCode::Hd) => Ok(Reply::Done),
            (Self::CompareAndSet { .. } | Self::Delete { .. }, ReturnCode::Ex) => Ok(Reply::Conflict),
            (Self::Get { .. }, ReturnCode::Va) => {
                let (Some(cas), Some(value)) = (answer.cas, answer.value) else {
                    return Err(Error::Protocol("received an item without its CAS unique or its value".into()));
                };
                let token = CasToken::new(cas, context.cas_mask);
                Ok(match (value.is_empty(), answer.won, answer.busy) {
                    (true, true, _) => Reply::PlaceholderCreated(token),
                    (true, false, true) => Reply::PlaceholderPresent(token),
                    _ => Reply::Value { cas: token, value: value.into(), may_be_stale: cas < context.cas_floor },
                })
            }
            (_, code) => Err(Error::Protocol(format!("unexpected response code {code:?}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONTEXT: ReplyContext = ReplyContext { cas_mask: CasMask(0x8000_0000_0000_00f0), cas_floor: 10 };

    fn get() -> CacheCommand {
        CacheCommand::Get { key: Key::from(*b"k"), vivify_ttl_s: Some(3) }
    }

    fn set() -> CacheCommand {
        let (key, cas) = (Key::from(*b"k"), CasToken::new(7, CONTEXT.cas_mask));
        CacheCommand::CompareAndSet { key, cas, value: Bytes::from_static(b"v"), ttl_s: 9 }
    }

    fn encoded(command: &CacheCommand) -> String {
        String::from_utf8(command.to_wire(4, CONTEXT.cas_mask).unwrap().encode().unwrap()).unwrap()
    }

    fn reply(command: &CacheCommand, header: &str) -> Result<Reply, Error> {
        command.reply(4, CONTEXT, MetaResponse::parse_header(header.as_bytes())?)
    }

    #[test]
    fn commands_are_encoded_in_the_meta_protocol() {
        assert_eq!(encoded(&get()), "mg k v c N3 O4\r\n");
        assert_eq!(encoded(&CacheCommand::Get { key: Key::from(*b"k"), vivify_ttl_s: None }), "mg k v c O4\r\n");
        assert_eq!(encoded(&set()), "ms k 1 T9 C7 O4\r\nv\r\n");
        assert_eq!(encoded(&CacheCommand::Delete { key: Key::from(*b"k"), cas: None }), "md k O4\r\n");
        let cas = Some(CasToken::new(8, CONTEXT.cas_mask));
        assert_eq!(encoded(&CacheCommand::Delete { key: Key::from(*b"k"), cas }), "md k C8 O4\r\n");
    }

    #[test]
    fn responses_are_decoded() {
        assert_eq!(reply(&get(), "EN O4").unwrap(), Reply::Absent);
        assert_eq!(reply(&set(), "HD O4").unwrap(), Reply::Done);
        assert_eq!(reply(&set(), "EX O4").unwrap(), Reply::Conflict);
        assert_eq!(reply(&set(), "NF O4").unwrap(), Reply::Absent);
    }

    #[test]
    fn an_unexpected_response_is_an_error() {
        for (command, header) in
            [(get(), "EN O5"), (get(), "EN"), (get(), "HD O4"), (set(), "EN4"), (set(), "MN"), (get(), "VA 1 O4")]
        {
            assert!(reply(&command, header).is_err(), "{command:?} {header}");
        }
    }

    #[test]
    fn a_token_is_valid_only_with_the_mask_of_its_connection() {
        let token = CasToken::new(7, CONTEXT.cas_mask);
        assert_eq!(token.unmask(CONTEXT.cas_mask), 7);
        let other = CasMask::from_random(0x1234_5678_9abc_def0);
        assert_ne!(token.unmask(other), 7);
        assert_ne!(FillLease::from(CasToken::new(1 << 62, CasMask::from_random(1 << 62))), FillLease(0));
    }
}
