//! The session with the cluster: bounded, and with failures in a port's words.

use std::{collections::BTreeSet, fmt::Display, ops::ControlFlow, time::Duration};

use diptych_kernel::ports::{PortError, PortResult};
use scylla::{
    client::{execution_profile::ExecutionProfile, session::Session, session_builder::SessionBuilder},
    deserialize::row::DeserializeRow,
    policies::load_balancing::DefaultPolicy,
    response::{PagingState, query_result::QueryResult},
    serialize::{batch::BatchValues, row::SerializeRow},
    statement::{
        batch::{Batch, BatchType},
        prepared::PreparedStatement,
    },
};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::{config::ScyllaConfig, cql, error};

/// How many rows the server sends at a time, at most. It sends fewer where they are large.
pub(crate) const PAGE_ROWS_MAX: usize = 1_000;

/// How long nodes may take to agree on the schema.
const AGREEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// A session, with a bound on what is under way.
///
/// The driver keeps one connection per shard of ScyllaDB and one per node of Cassandra, over which any number of requests go at a time.
pub(crate) struct Connection {
    session: Session,
    permits: Semaphore,
    requests_max: usize,
}

impl Connection {
    /// Connects to the cluster. No keyspace is used yet.
    pub(crate) async fn open(config: &ScyllaConfig) -> PortResult<Self> {
        config.check()?;
        let mut policy = DefaultPolicy::builder().token_aware(true);
        if let Some(datacenter) = &config.datacenter {
            // A node elsewhere would ask its own neighbours.
            policy = policy.prefer_datacenter(datacenter.clone()).permit_dc_failover(false);
        }
        let profile = ExecutionProfile::builder()
            .consistency(config.consistency.of_driver())
            .request_timeout(Some(config.request_timeout))
            .load_balancing_policy(policy.build())
            .build();
        let mut builder = SessionBuilder::new()
            .known_nodes(&config.contact_points)
            .connection_timeout(config.connect_timeout)
            .schema_agreement_timeout(AGREEMENT_TIMEOUT)
            .default_execution_profile_handle(profile.into_handle())
            // What routing needs and nothing else: a cluster may have thousands of tables of others.
            .keyspaces_to_fetch([&config.keyspace])
            .fetch_full_schema_metadata(false);
        if let (Some(user), Some(password)) = (&config.user, &config.password) {
            builder = builder.user(user, password);
        }
        let connected = builder.build().await;
        let session = connected.map_err(|error| error::connecting(&config.contact_points, error))?;
        check_datacenter(&session, config)?;
        Ok(Self { session, permits: Semaphore::new(config.requests_max), requests_max: config.requests_max })
    }

    pub(crate) async fn use_keyspace(&self, keyspace: &str) -> PortResult<()> {
        self.session.use_keyspace(keyspace, true).await.map_err(|error| error::entering(keyspace, error))
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// How many requests may be under way at a time.
    pub(crate) fn requests_max(&self) -> usize {
        self.requests_max
    }

    /// Prepares the statement of a file. All of them may be repeated without harm: reads, and writes with a timestamp of their own.
    pub(crate) async fn prepare(&self, file: &str) -> PortResult<PreparedStatement> {
        let _permit = self.permit().await;
        let mut prepared = self.session.prepare(cql::statement(file)).await.map_err(error::preparing)?;
        prepared.set_is_idempotent(true);
        Ok(prepared)
    }

    /// Writes.
    pub(crate) async fn execute(
        &self,
        what: &str,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> PortResult<QueryResult> {
        let _permit = self.permit().await;
        self.session
            .execute_unpaged(statement, values)
            .await
            .map_err(|error| error::writing(in_table(what, statement), error))
    }

    /// Writes, in one request. The caller sees to it that all of it has one partition key: then it is one mutation.
    pub(crate) async fn execute_batch<'a>(
        &self,
        what: &str,
        statements: impl IntoIterator<Item = &'a PreparedStatement>,
        values: impl BatchValues,
    ) -> PortResult<()> {
        let statements = statements.into_iter().map(|statement| statement.clone().into()).collect();
        let mut batch = Batch::new_with_statements(BatchType::Unlogged, statements);
        batch.set_is_idempotent(true);
        let _permit = self.permit().await;
        self.session.batch(&batch, values).await.map(|_| ()).map_err(|error| error::writing(what, error))
    }

    /// Reads rows, `page_rows` at a time, until there are no more or `take` has enough.
    pub(crate) async fn read_while<R>(
        &self,
        what: &str,
        statement: &PreparedStatement,
        values: impl SerializeRow,
        page_rows: usize,
        mut take: impl FnMut(R) -> PortResult<ControlFlow<()>>,
    ) -> PortResult<()>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let mut statement = statement.clone();
        statement.set_page_size(i32::try_from(page_rows.clamp(1, PAGE_ROWS_MAX)).unwrap_or(i32::MAX));
        let mut from = PagingState::start();
        loop {
            let permit = self.permit().await;
            let answer = self.session.execute_single_page(&statement, &values, from).await;
            drop(permit);
            let (result, next) = answer.map_err(|error| error::reading(in_table(what, &statement), error))?;
            let garbled = |error: &dyn Display| {
                error::garbled(format_args!("what {} cannot understand ({error})", in_table(what, &statement)))
            };
            let result = result.into_rows_result().map_err(|error| garbled(&error))?;
            for row in result.rows::<R>().map_err(|error| garbled(&error))? {
                if take(row.map_err(|error| garbled(&error))?)?.is_break() {
                    return Ok(());
                }
            }
            match next.into_paging_control_flow() {
                ControlFlow::Continue(next) => from = next,
                ControlFlow::Break(()) => return Ok(()),
            }
        }
    }

    /// Reads all rows.
    pub(crate) async fn read<R>(
        &self,
        what: &str,
        statement: &PreparedStatement,
        values: impl SerializeRow,
    ) -> PortResult<Vec<R>>
    where
        R: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let mut rows = Vec::new();
        let take = |row| {
            rows.push(row);
            Ok(ControlFlow::Continue(()))
        };
        self.read_while(what, statement, values, PAGE_ROWS_MAX, take).await?;
        Ok(rows)
    }

    async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed, so there always is one.
        self.permits.acquire().await.ok()
    }
}

/// What a statement does, and where.
fn in_table(what: &str, statement: &PreparedStatement) -> String {
    match statement.get_table_name() {
        Some(table) => format!("{what} in table {table}"),
        None => what.to_owned(),
    }
}

/// A data centre that nobody is in leaves nobody to ask, and the driver says so only then.
fn check_datacenter(session: &Session, config: &ScyllaConfig) -> PortResult<()> {
    let Some(datacenter) = config.datacenter.as_deref() else { return Ok(()) };
    let cluster = session.get_cluster_state();
    let known: BTreeSet<_> = cluster.get_nodes_info().iter().filter_map(|node| node.datacenter.as_deref()).collect();
    if known.contains(datacenter) {
        return Ok(());
    }
    let known = Vec::from_iter(known).join(", ");
    Err(PortError::operator(format!("there is no node in data centre {datacenter}: the cluster has {known}")))
}
