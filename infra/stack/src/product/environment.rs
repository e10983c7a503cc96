//! Environment variables for clients of a stack.

use std::collections::BTreeMap;

use crate::{error::StackResult, servers::Server, stack::Stack};

impl Stack {
    /// Returns the variables by which the tests of this workspace find the servers of the stack. If the product was
    /// started, also the settings by which its program finds the servers, the address of the edge, and the token that
    /// its gateways require.
    ///
    /// # Errors
    /// When the state of the stack cannot be read.
    pub fn environment(&self) -> StackResult<BTreeMap<String, String>> {
        let state = self.state()?;
        let mut variables = BTreeMap::new();
        for server in Server::ALL.into_iter().filter(|server| state.find(server.name()).is_some()) {
            let address = self.address(server)?;
            let (name, value) = match server {
                Server::Postgres => {
                    let hosts = self.postgres_addresses()?;
                    ("DIPTYCH_TEST_POSTGRES_URL", format!("postgres://postgres@{hosts}/postgres"))
                }
                Server::Kafka => ("DIPTYCH_TEST_KAFKA", address),
                Server::Cassandra => ("DIPTYCH_TEST_CQL", address),
                Server::Memcached => ("DIPTYCH_TEST_MEMCACHED", address),
            };
            variables.insert(name.to_owned(), value);
            // Where pods of a Kubernetes on this machine reach it.
            if let Some(address) = self.pod_address(server)? {
                variables.insert(format!("DIPTYCH_TEST_PODS_{}", server.name().to_uppercase()), address);
            }
        }
        if self.standbys() > 0 {
            variables.insert("DIPTYCH_TEST_POSTGRES_STANDBYS".to_owned(), self.standbys().to_string());
            // For psql and others of libpq; the product's programs look for the primary by themselves.
            variables.insert("PGTARGETSESSIONATTRS".to_owned(), "read-write".to_owned());
        }
        if let Ok(envoy) = self.tools().envoy() {
            variables.insert("DIPTYCH_TEST_ENVOY".to_owned(), envoy.display().to_string());
        }
        if let Ok(grpcurl) = self.tools().grpcurl() {
            variables.insert("DIPTYCH_TEST_GRPCURL".to_owned(), grpcurl.display().to_string());
        }
        if let Some(product) = self.product()? {
            variables.extend(product.settings);
            variables.insert("DIPTYCH_ADDRESS".to_owned(), product.address);
            variables.insert("DIPTYCH_TOKEN".to_owned(), product.token);
        }
        Ok(variables)
    }
}
