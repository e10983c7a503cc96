//! The product's own processes beside the servers: services in pairs, behind two gateways and an edge.
//!
//! Separate from the rest, which knows servers and processes only.

mod envoys;
mod services;
mod settings;

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

pub use diptych_envoy::Tracing;

use crate::{ProcessSpec, Readiness, Stack, StackError, StackResult, probe};

/// The name of the database, and of everything else that needs one.
const DATABASE: &str = "diptych";

/// How long the making of tables, topic and keyspace may take.
const MIGRATED_WITHIN: Duration = Duration::from_secs(180);

/// What of the product is to run.
#[derive(Clone, Debug)]
pub struct ProductConfig {
    /// The program `diptych`.
    pub program: PathBuf,
    /// How many partitions a new stack gets, 1 to 256. One that has data keeps its number, and must be given the same.
    /// Default: 16.
    pub partitions: u16,
    /// How many processes of each service. Default: 2.
    pub instances: u16,
    /// How many gateways. Default: 2.
    pub gateways: u16,
    /// Further settings of the services, by their variables (`DIPTYCH_...`). Where the servers are cannot be changed
    /// so. Default: none.
    pub settings: BTreeMap<String, String>,
    /// Where Envoy sends spans. Default: nowhere.
    pub tracing: Option<Tracing>,
}

/// The product as it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Where calls are taken, as `host:port`: gRPC, JSON and gRPC-Web.
    pub address: String,
    /// What a caller sends as `authorization: Bearer ...`: good for everything, for a year.
    pub token: String,
    /// The program `diptych` that its services run.
    pub program: PathBuf,
    /// The settings by which the program finds the servers, as variables.
    pub settings: BTreeMap<String, String>,
}

impl ProductConfig {
    /// This program, else as the fields say.
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
    /// Makes database, tables, topic and keyspace where they are missing, and starts the product's processes that do
    /// not run: services, then gateways, then the edge. All servers must run.
    ///
    /// # Errors
    /// When a server of the stack is missing, Envoy is not installed, or a process does not become ready.
    pub async fn start_product(&self, config: &ProductConfig) -> StackResult<Product> {
        let settings = settings::of(self, config)?;
        probe::postgres::create_database(self.port(crate::Server::Postgres)?, DATABASE).await.map_err(|said| {
            StackError::Invalid(format!("cannot create the database {DATABASE} in postgres: {said}"))
        })?;
        let mut migrate =
            ProcessSpec::new("migrate", &config.program).arguments(["migrate"]).ready(Readiness::Done, MIGRATED_WITHIN);
        migrate.environment.clone_from(&settings);
        self.run(migrate).await?;

        let services = services::specs(self, config, &settings)?;
        let envoys = envoys::specs(self, config, &services)?;
        self.ensure_all(services.into_iter().chain(envoys)).await?;
        self.product()?
            .ok_or_else(|| StackError::Invalid("the product has no address although it was started".to_owned()))
    }

    /// The product, where it was started in this stack.
    ///
    /// # Errors
    /// When what the stack has written down cannot be read.
    pub fn product(&self) -> StackResult<Option<Product>> {
        let Some(address) = envoys::address(self)? else { return Ok(None) };
        let path = envoys::token_file(self);
        let token = fs::read_to_string(&path).map_err(StackError::io(format!("read {}", path.display())))?;
        let Some(program) = services::program(self)? else { return Ok(None) };
        Ok(Some(Product { address, token: token.trim().to_owned(), program, settings: settings::of_servers(self)? }))
    }
}
