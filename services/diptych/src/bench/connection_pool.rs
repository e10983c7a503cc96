//! Connections to the server that is measured.

use anyhow::anyhow;

use crate::client::{Connections, RequiredServices, Target};

/// Connections that clients are spread over, round robin.
#[derive(Debug)]
pub(crate) struct ConnectionPool {
    connections: Vec<Connections>,
}

impl ConnectionPool {
    /// Opens this number of connections, at least one.
    ///
    /// # Errors
    /// When the server cannot be reached, or does not serve what the benchmark calls.
    pub(crate) async fn open(target: &Target, count: u64, required: RequiredServices) -> anyhow::Result<Self> {
        Ok(Self { connections: target.connect_many(count, required).await? })
    }

    /// As [`ConnectionPool::open`], with this number of connections to each of several servers, in turns.
    ///
    /// # Errors
    /// Those of [`ConnectionPool::open`].
    pub(crate) async fn open_all(targets: &[Target], count: u64, required: RequiredServices) -> anyhow::Result<Self> {
        let mut all = Vec::new();
        for target in targets {
            all.push(target.connect_many(count, required).await?.into_iter());
        }
        let mut connections = Vec::new();
        for _ in 0..count {
            connections.extend(all.iter_mut().filter_map(Iterator::next));
        }
        Ok(Self { connections })
    }

    /// Creates this number of clients, spread over the connections.
    ///
    /// # Errors
    /// When the number does not fit into memory.
    pub(crate) fn clients<C>(&self, count: u64, new_client: impl Fn(&Connections) -> C) -> anyhow::Result<Vec<C>> {
        Ok(self.connections.iter().cycle().take(usize::try_from(count)?).map(new_client).collect())
    }

    /// The first connection.
    ///
    /// # Errors
    /// None in practice: a pool has at least one connection.
    pub(crate) fn first(&self) -> anyhow::Result<Connections> {
        self.connections.first().cloned().ok_or_else(|| anyhow!("the connection pool is empty"))
    }

    /// All connections.
    pub(crate) fn all(&self) -> &[Connections] {
        &self.connections
    }
}
