//! The processes of the product: two of each service, behind two gateways and an edge.
//!
//! The rest of the crate does not depend on this module.

mod config;
mod environment;
mod envoys;
mod services;
mod settings;

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

pub use config::ProductConfig;
pub use diptych_envoy::Tracing;

use self::settings::DATABASE;
use crate::{
    error::{StackError, StackResult},
    probe,
    process::{ProcessSpec, Readiness},
    stack::Stack,
};

/// Time limit for the creation of tables, topic and keyspace.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(180);

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

impl Stack {
    /// Creates the database, tables, topic and keyspace if missing, and starts those processes of the product that are
    /// not running: services, then gateways, then the edge. All servers must be running.
    ///
    /// # Errors
    /// When a server of the stack is missing, Envoy is not installed, or a process does not become ready.
    pub async fn start_product(&self, config: &ProductConfig) -> StackResult<Product> {
        let settings = settings::for_services(self, config)?;
        probe::postgres::create_database(self.write_port().await?, DATABASE).await.map_err(|said| {
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
