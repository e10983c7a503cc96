//! Test harness: an edge, two gateways, two instances of the services.

use std::{fs, time::Duration};

use diptych_envoy::{
    DESCRIPTOR_SET, DevelopmentKey, EdgeSettings, Endpoint, GatewaySettings, ProcessSettings,
    scope::{COMMANDS_WRITE, QUERIES_READ},
};
use diptych_proto::ledger::{
    command::v1::{DepositRequest, command_service_client::CommandServiceClient},
    query::v1::{GetAccountRequest, query_service_client::QueryServiceClient},
};
use futures::future::join_all;
use tempfile::TempDir;
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint as Target},
};

use super::{
    backend::Backend,
    process::{Envoy, binary},
};

/// Both scopes.
pub(crate) const ALL: [&str; 2] = [COMMANDS_WRITE, QUERIES_READ];

/// The running processes.
pub(crate) struct EnvoyHarness {
    pub(crate) edge: Envoy,
    pub(crate) gateways: Vec<Envoy>,
    pub(crate) backends: Vec<Backend>,
    pub(crate) key: DevelopmentKey,
    _folder: TempDir,
}

impl EnvoyHarness {
    /// Starts everything; `None` if the test is to be skipped.
    pub(crate) async fn start() -> Option<Self> {
        Self::start_with(|_| (), |_| ()).await
    }

    /// Starts everything with changed settings.
    pub(crate) async fn start_with(
        change_gateway: impl Fn(&mut GatewaySettings),
        change_edge: impl Fn(&mut EdgeSettings),
    ) -> Option<Self> {
        let binary = binary()?;
        let folder = tempfile::tempdir().unwrap();
        let descriptor_set = folder.path().join("descriptor_set.bin");
        fs::write(&descriptor_set, DESCRIPTOR_SET).unwrap();
        let key = DevelopmentKey::generate();
        let backends = vec![Backend::start("a"), Backend::start("b")];
        let services: Vec<Endpoint> = backends.iter().map(|backend| localhost(backend.address.port())).collect();

        let gateway = |name: &'static str| {
            let process = process(name);
            let descriptor_set = descriptor_set.to_str().unwrap();
            let mut settings =
                GatewaySettings::new(process, services.clone(), services.clone(), key.jwt_settings(), descriptor_set);
            change_gateway(&mut settings);
            Envoy::start(&binary, move |log| {
                settings.process.access_log_file = log;
                settings.render().unwrap()
            })
        };
        let gateways = join_all([gateway("gateway-0"), gateway("gateway-1")]).await;
        let gateway_endpoints = gateways.iter().map(|gateway| localhost(gateway.calls.port())).collect();
        let mut settings = EdgeSettings::new(process("edge-0"), gateway_endpoints);
        change_edge(&mut settings);
        let edge = Envoy::start(&binary, |log| {
            settings.process.access_log_file = log;
            settings.render().unwrap()
        })
        .await;
        Some(Self { edge, gateways, backends, key, _folder: folder })
    }

    /// The value of `authorization` for a caller with these scopes.
    pub(crate) fn bearer(&self, scopes: &[&str]) -> String {
        format!("Bearer {}", self.key.token("tester", scopes, Duration::from_secs(600)))
    }

    /// The header `authorization` for curl.
    pub(crate) fn header(&self, scopes: &[&str]) -> String {
        format!("authorization: {}", self.bearer(scopes))
    }

    /// A request of a caller with both scopes.
    pub(crate) fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer(&ALL).parse().unwrap());
        request
    }

    pub(crate) fn commands(&self) -> CommandServiceClient<Channel> {
        CommandServiceClient::new(channel(&self.edge))
    }

    pub(crate) fn queries(&self) -> QueryServiceClient<Channel> {
        QueryServiceClient::new(channel(&self.edge))
    }

    /// Deposits into the account; returns the name of the instance that answered.
    pub(crate) async fn deposit(&self, account_id: &str) -> Result<String, Status> {
        let answer = self.commands().deposit(self.request(deposit(account_id))).await?;
        Ok(answer.into_inner().receipt.unwrap().streams[0].stream_id.clone())
    }

    /// Reads the account; returns the name of the instance that answered.
    pub(crate) async fn account(&self, account_id: &str) -> Result<String, Status> {
        let message = GetAccountRequest { account_id: account_id.to_owned(), ..GetAccountRequest::default() };
        let answer = self.queries().get_account(self.request(message)).await?;
        Ok(answer.into_inner().account.unwrap().owner_id)
    }
}

/// A connection to an Envoy.
pub(crate) fn channel(envoy: &Envoy) -> Channel {
    Target::from_shared(envoy.url("")).unwrap().connect_lazy()
}

pub(crate) fn deposit(account_id: &str) -> DepositRequest {
    DepositRequest { account_id: account_id.to_owned(), ..DepositRequest::default() }
}

fn localhost(port: u16) -> Endpoint {
    Endpoint::new("127.0.0.1", port)
}

/// Settings with free ports and frequent health checks.
fn process(name: &str) -> ProcessSettings {
    ProcessSettings { health_check_interval: Duration::from_millis(100), ..ProcessSettings::new(name, 0, 0) }
}
