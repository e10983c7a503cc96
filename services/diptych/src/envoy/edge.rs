//! `diptych envoy edge`.

use diptych_envoy::{EdgeSettings, Endpoint};

use super::process_flags::{ProcessFlags, endpoint};

/// Write DIR/edge.yaml.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Gateways: host:port, several separated by commas; every address of a host name is one of them.
    #[arg(long, value_name = "SERVERS", required = true, value_delimiter = ',', value_parser = endpoint)]
    gateways: Vec<Endpoint>,

    /// Headers of calls to remove, in lower case, separated by commas: "traceparent,tracestate" for an edge that is
    /// reachable from untrusted networks.
    #[arg(long, value_name = "HEADERS", value_delimiter = ',')]
    headers_dropped: Vec<String>,

    #[command(flatten)]
    process: ProcessFlags,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut settings = EdgeSettings::new(args.process.settings("edge"), args.gateways.clone());
    settings.headers_dropped.clone_from(&args.headers_dropped);
    args.process.write("edge.yaml", settings.render()?.as_bytes())
}
