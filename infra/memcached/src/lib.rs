//! The cache in front of the read database on Memcached.
//!
//! # How the contract is kept
//!
//! | what | how |
//! |---|---|
//! | a lease | the first look at a key that is not there leaves an empty placeholder, whose number is the lease (meta protocol: `mg` with `N`) |
//! | a fill | takes the place of exactly that placeholder (`ms` with `C`); whatever happened to the key meanwhile has removed it |
//! | a refresh | looks first, and takes the place of exactly what it saw and found older, or of a placeholder |
//! | an invalidation | deletes, value or placeholder |
//! | a filler that died | its placeholder expires ([`MemcachedConfig::lease_ttl`]) |
//!
//! Nothing is ever stored without saying which item it may replace. So what arrives late does no harm, be it a repetition or a command that a
//! server finds in its buffers when it was stopped and goes on. A lease is good through the handle and the connection that gave it; it does not
//! survive a restart of the server, which counts its items from 1 again.
//!
//! # When something fails (G7)
//!
//! A reader that cannot reach the cache answers from the read database, and so may tell of a newer row than the cache has; a projector that
//! cannot reach it leaves an older row there. When the server is back, the older row must not be told again. Therefore each process makes sure,
//! for what *it* could not do, before it uses a server again:
//!
//! - The keys of every call that failed, or that its caller gave up, are forgotten on the server, and are so before they are looked at again.
//! - After a server was down (three failures in a row, or no connection), everything that it had before counts as a miss. So does everything
//!   where more keys failed than are remembered (16,384 for each connection).
//!
//! One thing is the caller's. It reads the read database *after* a call has failed, when the key may have been forgotten already; and another
//! reader, with an older row in hand, may fill it in between, if the refresh was lost as well. So a caller forgets the key once more after it has
//! read the row and before it tells it. Where that fails too, it is made up for as above.
//!
//! Then no row ever goes back through one process, whatever fails. What remains needs two processes that fare differently: one is cut off from a
//! server and answers a newer row from the read database, another one is not, and still finds the older row, because the projector is cut off
//! as well, or died before it could make up for a refresh. The older row says its age, a token that asks for more never gets it, and the query
//! service reads it again once it is more than `cached_age_max` (30 s) behind its view's progress: that is the bound. What nobody reads any
//! more goes with [`MemcachedConfig::ttl`].
//!
//! # Several servers
//!
//! Rendezvous hashing: each key is on one server, and keys of a server that is away are misses; they do not move to others, where they would be
//! left behind as old rows when it comes back. Adding or removing a server moves the keys of that server only; do it with a restart of all
//! processes, and give it a new [`MemcachedConfig::key_prefix`] where rows that go back for up to `cached_age_max` are not acceptable.
//!
//! A read of several rows of which some are out of reach answers the others, and misses for those. A call fails as a whole only where nothing
//! of it could be done (reads) or something could not (refreshes and invalidations), so that it is counted by the caller.
//!
//! # Cost
//!
//! What is asked while a round trip is under way shares the next one. A read is one round trip for all of its keys on a server; a refresh is
//! two for up to 512 rows; a server that is down costs a look at a flag.

mod cache;
mod config;
mod key;
mod lane;
mod metrics;
mod value;

pub use cache::MemcachedViewCache;
pub use config::MemcachedConfig;
