//! The session with the cluster: limits concurrent requests, and maps errors of the driver.

use std::{collections::BTreeSet, fmt::Display, ops::ControlFlow, time::Duration};

use diptych_kernel::ports::PortResult;
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

use crate::{config::ScyllaConfig, cql, datacenter, error};

/// The largest number of rows in a page of a result. The server sends fewer if they are large.
pub(crate) const PAGE_ROWS_MAX: usize = 1_000;

/// Timeout for all nodes to agree on the schema.
const AGREEMENT_TIMEOUT: Duration = Duration::from_secs(10);

/// A session with a limit on concurrent requests.
///
/// The driver keeps one connection per shard of ScyllaDB and one per node of Cassandra, each for many concurrent
/// requests.
pub(crate) struct Connection {
    session: Session,
    permits: Semaphore,
    requests_max: usize,
    datacenter: Option<String>,
    has_one_datacenter: bool,
}

impl Connection {
    /// Connects to the cluster, without selecting a keyspace.
    pub(crate) async fn open(config: &ScyllaConfig) -> PortResult<Self> {
        config.check()?;
        let mut policy = DefaultPolicy::builder().token_aware(true);
        if let Some(datacenter) = &config.datacenter {
            // With LOCAL_QUORUM a coordinator elsewhere would use the replicas of its own data centre.
            policy = policy.prefer_datacenter(datacenter.clone()).permit_dc_failover(false);
        }
        let profile = ExecutionProfile::builder()
            .consistency(config.consistency.to_driver())
            .request_timeout(Some(config.request_timeout))
            .load_balancing_policy(policy.build())
            .build();
        let mut builder = SessionBuilder::new()
            .known_nodes(&config.contact_points)
            .connection_timeout(config.connect_timeout)
            .schema_agreement_timeout(AGREEMENT_TIMEOUT)
            .default_execution_profile_handle(profile.into_handle())
            // Only the metadata that routing needs: a cluster may have thousands of other tables.
            .keyspaces_to_fetch([&config.keyspace])
            .fetch_full_schema_metadata(false);
        if let (Some(user), Some(password)) = (&config.user, &config.password) {
            builder = builder.user(user, password);
        }
        let connected = builder.build().await;
        let session = connected.map_err(|error| error::connect_error(config, error))?;
        let known = datacenters(&session);
        let datacenter = datacenter::of_requests(config, &known)?;
        let requests_max = config.requests_max;
        let permits = Semaphore::new(requests_max);
        Ok(Self { session, permits, requests_max, datacenter, has_one_datacenter: known.len() <= 1 })
    }

    /// The data centre whose replicas are read and written; `None` for those of all.
    pub(crate) fn datacenter(&self) -> Option<&str> {
        self.datacenter.as_deref()
    }

    /// Returns whether all nodes are in one data centre.
    pub(crate) fn has_one_datacenter(&self) -> bool {
        self.has_one_datacenter
    }

    /// Selects the configured keyspace.
    pub(crate) async fn use_keyspace(&self, config: &ScyllaConfig) -> PortResult<()> {
        let used = self.session.use_keyspace(&config.keyspace, true).await;
        used.map_err(|error| error::keyspace_error(config, error))
    }

    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// The maximum number of concurrent requests.
    pub(crate) fn requests_max(&self) -> usize {
        self.requests_max
    }

    /// Prepares the statement of a file. All of them are idempotent: reads, and writes with explicit timestamps.
    pub(crate) async fn prepare(&self, file: &str) -> PortResult<PreparedStatement> {
        let _permit = self.permit().await;
        let mut prepared = self.session.prepare(cql::statement(file)).await.map_err(error::prepare_error)?;
        prepared.set_is_idempotent(true);
        Ok(prepared)
    }

    /// Executes a write.
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
            .map_err(|error| error::write_error(describe(what, statement), error))
    }

    /// Executes several writes in one request. All must have the same partition key: then they are one mutation.
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
        self.session.batch(&batch, values).await.map(|_| ()).map_err(|error| error::write_error(what, error))
    }

    /// Reads rows in pages of `page_rows`, until there are no more or `on_row` breaks.
    pub(crate) async fn read_while<R>(
        &self,
        what: &str,
        statement: &PreparedStatement,
        values: impl SerializeRow,
        page_rows: usize,
        mut on_row: impl FnMut(R) -> PortResult<ControlFlow<()>>,
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
            let (result, next) = answer.map_err(|error| error::read_error(describe(what, &statement), error))?;
            let corrupt_data = |error: &dyn Display| {
                error::corrupt_data(format_args!("an unexpected result of {} ({error})", describe(what, &statement)))
            };
            let result = result.into_rows_result().map_err(|error| corrupt_data(&error))?;
            for row in result.rows::<R>().map_err(|error| corrupt_data(&error))? {
                if on_row(row.map_err(|error| corrupt_data(&error))?)?.is_break() {
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
        let on_row = |row| {
            rows.push(row);
            Ok(ControlFlow::Continue(()))
        };
        self.read_while(what, statement, values, PAGE_ROWS_MAX, on_row).await?;
        Ok(rows)
    }

    async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed, so this never returns `None`.
        self.permits.acquire().await.ok()
    }
}

/// Describes a statement for error messages: what it does, and the table.
fn describe(what: &str, statement: &PreparedStatement) -> String {
    match statement.get_table_name() {
        Some(table) => format!("{what} in table {table}"),
        None => what.to_owned(),
    }
}

/// Returns the data centres that have nodes.
fn datacenters(session: &Session) -> BTreeSet<String> {
    session.get_cluster_state().get_nodes_info().iter().filter_map(|node| node.datacenter.clone()).collect()
}
