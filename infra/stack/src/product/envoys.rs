//! Envoy processes: gateways in front of the services, and the edge in front of the gateways.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use diptych_envoy::{
    DESCRIPTOR_SET, DevelopmentKey, EdgeSettings, Endpoint, GatewaySettings, Jwks, JwtSettings, ProcessSettings,
    RenderError, scope,
};

use super::{config::ProductConfig, services::GRPC};
use crate::{
    error::{StackError, StackResult},
    process::{ProcessSpec, Readiness},
    stack::Stack,
};

const EDGE: &str = "edge";
// Names of the ports of an Envoy process: client calls and administration.
const CALLS: &str = "calls";
const ADMIN: &str = "admin";

const GATEWAY_STAGE: u8 = 2;
const EDGE_STAGE: u8 = 3;
const READY_TIMEOUT: Duration = Duration::from_secs(60);

const TOKEN_VALID_FOR: Duration = Duration::from_secs(365 * 24 * 3_600);

/// Specifications of the gateways and the edge for these services.
pub(super) fn specs(stack: &Stack, config: &ProductConfig, services: &[ProcessSpec]) -> StackResult<Vec<ProcessSpec>> {
    let descriptor_set = stack.folder().path().join("descriptor_set.bin");
    write(&descriptor_set, DESCRIPTOR_SET)?;
    let token_settings = token_settings(stack)?;
    let instances = |role: &str| {
        let own = services.iter().filter(|service| service.name.rsplit_once('-').is_some_and(|(name, _)| name == role));
        own.filter_map(|service| service.ports.get(GRPC)).map(|port| local(*port)).collect::<Vec<_>>()
    };
    let (commands, queries) = (instances("command"), instances("query"));

    let mut specs = Vec::new();
    for number in 1..=config.gateways {
        let envoy = EnvoyProcess::of(stack, config, format!("gateway-{number}"))?;
        let file = descriptor_set.display().to_string();
        let settings = GatewaySettings::new(
            envoy.process.clone(),
            commands.clone(),
            queries.clone(),
            token_settings.clone(),
            file,
        );
        specs.push(envoy.spec(stack, settings.render(), GATEWAY_STAGE)?);
    }
    let gateways = specs.iter().filter_map(|gateway| gateway.ports.get(CALLS)).map(|port| local(*port)).collect();
    let envoy = EnvoyProcess::of(stack, config, EDGE.to_owned())?;
    let settings = EdgeSettings::new(envoy.process.clone(), gateways);
    specs.push(envoy.spec(stack, settings.render(), EDGE_STAGE)?);
    Ok(specs)
}

/// Returns the address of the edge, if the stack has one.
pub(super) fn address(stack: &Stack) -> StackResult<Option<String>> {
    let status = stack.status()?;
    let edge = status.iter().find(|process| process.name == EDGE);
    Ok(edge.and_then(|edge| edge.ports.get(CALLS)).map(|port| format!("127.0.0.1:{port}")))
}

/// File with the token for clients.
pub(super) fn token_file(stack: &Stack) -> PathBuf {
    stack.folder().path().join("token")
}

/// Name and ports of an Envoy process.
struct EnvoyProcess {
    name: String,
    process: ProcessSettings,
    ports: std::collections::BTreeMap<String, u16>,
    admin: u16,
}

impl EnvoyProcess {
    fn of(stack: &Stack, config: &ProductConfig, name: String) -> StackResult<Self> {
        let ports = stack.ports(&name, &[CALLS, ADMIN])?;
        let port = |service: &str| ports.get(service).copied().unwrap_or(0);
        let admin = port(ADMIN);
        let mut process = ProcessSettings::new(&name, port(CALLS), admin);
        process.tracing.clone_from(&config.tracing);
        Ok(Self { name, process, ports, admin })
    }

    fn spec(self, stack: &Stack, rendered: Result<String, RenderError>, stage: u8) -> StackResult<ProcessSpec> {
        let text = rendered.map_err(|error| StackError::Invalid(format!("cannot configure {}: {error}", self.name)))?;
        let folder = stack.folder().process(&self.name);
        fs::create_dir_all(&folder).map_err(StackError::io(format!("make the folder {}", folder.display())))?;
        let file = folder.join("envoy.yaml");
        write(&file, text.as_bytes())?;
        // With hot restart it would end together with its parent.
        let arguments =
            ["-c", &file.display().to_string(), "--concurrency", "1", "--disable-hot-restart", "-l", "warn"];
        let ready = Readiness::Http { port: self.admin, path: "/ready".to_owned() };
        let spec = ProcessSpec::new(self.name, stack.tools().envoy()?).arguments(arguments);
        Ok(spec.ports(self.ports).stage(stage).ready(ready, READY_TIMEOUT))
    }
}

/// JWT settings of the gateways, which accept tokens signed with a key that is generated once for the stack. The public
/// key is in the gateways' configuration, the token for clients in a file.
fn token_settings(stack: &Stack) -> StackResult<JwtSettings> {
    let (keys, token) = (stack.folder().path().join("jwks.json"), token_file(stack));
    if !keys.exists() || !token.exists() {
        let key = DevelopmentKey::generate();
        let all = [scope::COMMANDS_WRITE, scope::QUERIES_READ];
        write(&keys, key.jwks().as_bytes())?;
        write(&token, key.token("developer", &all, TOKEN_VALID_FOR).as_bytes())?;
    }
    let jwks = fs::read_to_string(&keys).map_err(StackError::io(format!("read {}", keys.display())))?;
    Ok(JwtSettings {
        jwt_issuer: DevelopmentKey::ISSUER.to_owned(),
        jwt_audience: DevelopmentKey::AUDIENCE.to_owned(),
        jwks: Jwks::Inline(jwks),
    })
}

/// Writes a file that only this user can read, since it may contain keys or tokens.
fn write(path: &Path, bytes: &[u8]) -> StackResult<()> {
    let write = || -> io::Result<()> {
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(bytes)
    };
    write().map_err(StackError::io(format!("write {}", path.display())))
}

fn local(port: u16) -> Endpoint {
    Endpoint::new("127.0.0.1", port)
}
