//! The processes of the product: two of each service, behind two gateways and an edge.
//!
//! The rest of the crate does not depend on this module.

mod envoys;
mod services;
mod settings;

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

pub use diptych_envoy::Tracing;

use crate::{ProcessSpec, Readiness, Stack, StackError, StackResult, probe};

/// Name of the database.
const DATABASE: &str = "diptych";

/// Time limit for the creation of tables, topic and keyspace.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(180);

/// Configuration of the product in a stack.
#[derive(Clone, Debug)]
pub struct ProductConfig {
    /// The program `diptych`.
    pub program: PathBuf,
    /// Number of partitions, 1 to 256. Must not change once the stack has data. Default: 16.
    pub partitions: u16,
    /// Number of processes of each service. Default: 2.
    pub instances: u16,
    /// Number of gateways. Default: 2.
    pub gateways: u16,
    /// Further settings of the services, as environment variables (`DIPTYCH_...`). They cannot override the addresses
    /// of the servers. Default: none.
    pub settings: BTreeMap<String, String>,
    /// Trace collector for Envoy. Default: none.
    pub tracing: Option<Tracing>,
}

/// A running product.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Address of the edge for gRPC, JSON and gRPC-Web, as `host:port`.
    pub address: String,
    /// Token that clients send as `authorization: Bearer ...`. It has all scopes and is valid for a year.
    pub token: String,
    /// The program `diptych` that its services run.
    pub program: PathBuf,
    /// The settings by which the program finds the servers, as variables.
    pub settings: BTreeMap<String, String>,
}

impl ProductConfig {
    /// This program, with the default of every other field.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            partitions: 16,
            instances: 2,
            gateways: 2,
            settings: BTreeMap::new(),
            tracing: None,
        }
    }
}

impl Stack {
    /// Creates the database, tables, topic and keyspace if missing, and starts those processes of the product that are
    /// not running: services, then gateways, then the edge. All servers must be running.
    ///
    /// # Errors
    /// When a server of the stack is missing, Envoy is not installed, or a process does not become ready.
    pub async fn start_product(&self, config: &ProductConfig) -> StackResult<Product> {
        let settings = settings::for_services(self, config)?;
        probe::postgres::create_database(self.port(crate::Server::Postgres)?, DATABASE).await.map_err(|said| {
            StackError::Invalid(format!("cannot create the database {DATABASE} in postgres: {said}"))
        })?;
        let mut migrate = ProcessSpec::new("migrate", &config.program)
            .arguments(["migrate"])
            .ready(Readiness::Done, MIGRATION_TIMEOUT);
        migrate.environment.clone_from(&settings);
        self.run(migrate).await?;

        let services = services::specs(self, config, &settings)?;
        let envoys = envoys::specs(self, config, &services)?;
        self.ensure_all_running(services.into_iter().chain(envoys)).await?;
        self.product()?
            .ok_or_else(|| StackError::Invalid("the product has no address although it was started".to_owned()))
    }

    /// Returns the product, if it was started in this stack.
    ///
    /// # Errors
    /// When the state of the stack cannot be read.
    pub fn product(&self) -> StackResult<Option<Product>> {
        let Some(address) = envoys::address(self)? else { return Ok(None) };
        let path = envoys::token_file(self);
        let token = fs::read_to_string(&path).map_err(StackError::io(format!("read {}", path.display())))?;
        let Some(program) = services::program(self)? else { return Ok(None) };
        Ok(Some(Product {
            address,
            token: token.trim().to_owned(),
            program,
            settings: settings::server_settings(self)?,
        }))
    }
}
