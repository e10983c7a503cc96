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

/// Starts what does not run yet, and returns when everything is ready. It all runs on until `cargo stack down`.
///
/// First the servers, which come back to their data and to their ports; then the product: two processes of each
/// service, two gateways and an edge, at whose address all calls are taken. Installs and builds what is missing first.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Starts only these servers, and nothing of the product.
    #[arg(value_name = "SERVER")]
    servers: Vec<ServerName>,

    #[command(flatten)]
    product: Product,
}

/// How the product is to be.
#[derive(Debug, clap::Args)]
pub(super) struct Product {
    /// Builds and runs the product with optimisation.
    #[arg(long, conflicts_with = "servers")]
    pub(super) release: bool,

    /// The program `diptych`, instead of building it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["servers", "release"])]
    pub(super) program: Option<PathBuf>,

    /// How many partitions a new stack gets, 1 to 256. Fixed from then on.
    #[arg(long, value_name = "COUNT", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(super) partitions: u16,
}

const AFTER_HELP: &str = "\
Examples:
  cargo stack up
  cargo stack up --release
  cargo stack up postgres memcached      # servers only
  cargo stack up --name second           # another one beside it
  DIPTYCH_LOG__FILTER=debug cargo stack up

DIPTYCH_ variables are settings of the product's processes that are started; where
the servers are is set by the stack. What runs already is left as it is: to run a
new build, `cargo stack down` first, or kill single processes.";

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
