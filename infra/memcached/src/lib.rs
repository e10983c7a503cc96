//! The cache in front of the read database, on Memcached.
//!
//! # How the contract is implemented
//!
//! With the meta protocol:
//!
//! | operation | implementation |
//! |---|---|
//! | lease | the first read of an absent key creates a placeholder, whose CAS unique is the lease (`mg` with `N`) |
//! | fill | replaces exactly that placeholder (`ms` with `C`); any other change to the key has removed it |
//! | refresh | reads first, then replaces exactly the item that it found older, or a placeholder |
//! | invalidation | deletes the value or placeholder |
//! | reader that dies with a lease | its placeholder expires ([`MemcachedConfig::lease_ttl`]) |
//!
//! Nothing is stored unconditionally: every store names the item that it may replace. So a command that arrives late
//! does no harm, be it a repetition or one that a stopped server finds in its buffers when it resumes. A lease is valid
//! only through the handle and the connection that gave it; it does not survive a restart of the server, which counts
//! its items from 1 again.
//!
//! # Failures (G7)
//!
//! A reader that cannot reach the cache answers from the read database, and so may return a newer row than the cached
//! one; a projector that cannot reach it leaves an older row in the cache. When the server is back, the older row must
//! not be returned again. Therefore each process repairs the effects of *its own* failed calls before it uses a server
//! again:
//!
//! - The keys of every call that failed are deleted on the server as soon as possible, and always before they are read
//!   again: also of those calls that fail at once because the server is down (three failures in a row, or no
//!   connection). So are the keys of changes that were cancelled. A read that was cancelled leaves nothing to repair:
//!   its caller is gone, or invalidates the keys.
//! - When more keys failed than are kept (16,384 per connection), every item that the server had before counts as a
//!   miss.
//!
//! One step is left to the caller. It reads the read database *after* a call has failed, when the key may have been
//! deleted already; another reader with an older row may fill the key in between, if the refresh was lost as well. So
//! the caller invalidates the key once more after it has read the row and before it returns it. If that fails too, the
//! invalidation stays pending as above.
//!
//! With this, no row ever goes back through one process, whatever fails. The remaining case needs two processes: one is
//! cut off from a server and answers a newer row from the read database, the other is not, and still finds the older
//! row, because the projector is cut off as well, or died before it could repair a failed refresh. The older row
//! carries its age, a token that requires more never gets it, and the query service reads it again once it is more than
//! `cached_age_max` (20 s) behind its view's progress, which an idle partition gets with watermarks, 10 s apart at
//! most: so 30 s are the bound. Rows that are not read any more expire with [`MemcachedConfig::ttl`].
//!
//! # Several servers
//!
//! Rendezvous hashing: each key is on one server, and the keys of an unreachable server are misses; they do not move to
//! other servers, where they would be left behind as old rows when it comes back. Adding or removing a server moves the
//! keys of that server only; do it with a restart of all processes, and set a new [`MemcachedConfig::key_prefix`] where
//! rows that go back for up to that bound are not acceptable.
//!
//! A read of several rows of which some are unreachable returns the others, and misses for those. A read fails only if
//! no server answered, a refresh or an invalidation if any server did not, so that the caller counts it.
//!
//! # Cost
//!
//! Calls made during a round trip share the next one. A read is one round trip for all of its keys on a server; a
//! refresh is two for up to 512 rows; a call to a server that is down only reads a flag.

mod cache;
mod config;
mod connection;
mod key;
mod metrics;
mod value;

pub use cache::MemcachedViewCache;
pub use config::MemcachedConfig;
