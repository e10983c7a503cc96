//! `up`.

use std::{path::PathBuf, process::ExitCode};

use diptych_stack::{Places, Stack, StackConfig};
use tokio::time::Instant;

use super::{
    control::of,
    install, product,
    server_name::{ServerName, chosen},
    status::show,
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

    #[command(flatten)]
    product: Product,
}

/// How the product is to be.
#[derive(Debug, clap::Args)]
pub(super) struct Product {
    /// Builds and runs the product in release mode.
    #[arg(long, conflicts_with = "servers")]
    pub(super) release: bool,

    /// Path of an existing program `diptych`, instead of building it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["servers", "release"])]
    pub(super) program: Option<PathBuf>,

    /// Number of partitions of a new stack, 1 to 256. Cannot be changed later.
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) partitions: u16,
}

const AFTER_HELP: &str = "\
Examples:
  cargo stack up
  cargo stack up --release
  cargo stack up postgres memcached      # servers only
  cargo stack up --name second           # a second stack
  DIPTYCH_LOG__FILTER=debug cargo stack up

DIPTYCH_ variables are settings of the started processes of the product; the stack
sets the addresses of the servers. Running processes are left unchanged: to run a
new build, use `cargo stack restart PROCESS`. For changed settings, use
`cargo stack down` first.";

pub(crate) async fn run(args: Args, places: &Places, name: &str) -> anyhow::Result<ExitCode> {
    install::everything(places).await?;
    let program = if args.servers.is_empty() { Some(product::program(&args.product, places).await?) } else { None };
    let began_at = Instant::now();
    let servers = chosen(&args.servers);
    let config = StackConfig { places: places.clone(), servers, adopt: true, ..StackConfig::new(name)? };
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
        None => print!("{}", show(&stack.status()?)),
    }
    println!("ready after {took}; `cargo stack down{}` stops it", of(&stack));
    stack.detach()?;
    Ok(ExitCode::SUCCESS)
}
