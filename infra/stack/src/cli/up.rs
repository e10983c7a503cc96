//! `up`.

use std::{net::Ipv4Addr, process::ExitCode};

use diptych_stack::{Stack, StackConfig, StackPaths};
use tokio::time::Instant;

use super::{
    install, product,
    server_name::{ServerName, chosen},
    stack_name::name_option,
    status::{members, status_table},
    text::uptime,
};

/// Starts every process that is not running, and returns when all are ready. They run until `cargo stack down`.
///
/// First the servers, which keep their data and ports; then the product: two processes of each service, two gateways
/// and an edge, which is the address for client calls. Missing packages are installed, and the product is built, before
/// that.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Starts only these servers, without the product.
    #[arg(value_name = "SERVER")]
    servers: Vec<ServerName>,

    /// A second IPv4 address that servers listen on, for pods of a Kubernetes on this machine. Whoever reaches it can
    /// use the servers without a password.
    #[arg(long, value_name = "IP")]
    pod_address: Option<Ipv4Addr>,

    /// Number of standbys of Postgres, for a new stack; it cannot be changed later. Default: that of the stack, or 0:
    /// one server without a failover manager.
    ///
    /// With 1, a commit waits for the standby while both live, so the loss of either loses nothing that was
    /// acknowledged; after such a loss the other one goes on alone, and a second loss in a row may lose acknowledged
    /// commits. With 2, a commit always waits for a standby: acknowledged commits survive the loss of any one server,
    /// and with two servers lost no write is acknowledged.
    #[arg(long, value_name = "COUNT")]
    standbys: Option<u16>,

    #[command(flatten)]
    product: product::ProductArgs,
}

const AFTER_HELP: &str = "\
Examples:
  cargo stack up
  cargo stack up --release
  cargo stack up postgres memcached      # servers only
  cargo stack up --standbys 1            # Postgres with a standby and automatic failover
  cargo stack up --name second           # a second stack
  DIPTYCH_LOG__FILTER=debug cargo stack up

DIPTYCH_ variables are settings of the started processes of the product; the stack
sets the addresses of the servers. Running processes are left unchanged: to run a
new build, use `cargo stack restart PROCESS`. For changed settings, use
`cargo stack down` first.";

pub(crate) async fn run(args: Args, paths: &StackPaths, name: &str) -> anyhow::Result<ExitCode> {
    let standbys = args.standbys.unwrap_or_else(|| Stack::attach(paths, name).map_or(0, |stack| stack.standbys()));
    install::install_for(paths, standbys).await?;
    let program = if args.servers.is_empty() { Some(product::program(&args.product, paths).await?) } else { None };
    let began_at = Instant::now();
    let servers = chosen(&args.servers);
    let config = StackConfig {
        paths: paths.clone(),
        servers,
        adopt: true,
        pod_address: args.pod_address,
        standbys,
        ..StackConfig::new(name)?
    };
    eprintln!("starting servers");
    let stack = Stack::start(config).await?;
    let product = match program {
        Some(program) => {
            eprintln!("starting the product");
            let config = product::config(program, args.product.partitions);
            Some(stack.start_product(&config).await?)
        }
        None => None,
    };
    let took = uptime(began_at.elapsed());
    match product {
        Some(product) => print!("{}", product::banner(&stack, &product, args.product.partitions)?),
        None => print!("{}{}", status_table(&stack.status()?), members(&stack).await),
    }
    println!("ready after {took}; `cargo stack down{}` stops it", name_option(&stack));
    stack.detach()?;
    Ok(ExitCode::SUCCESS)
}
