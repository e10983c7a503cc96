//! The command line.

use clap_complete::Shell;

use crate::{
    bench, dev, explain, import, migrate,
    services::{all, command, projector, query, relay},
    verify,
};

/// Commands in over gRPC, committed once, projected into read tables, answered over gRPC: with no event lost, none applied twice, and
/// every caller able to read its own writes.
#[derive(Debug, clap::Parser)]
#[command(name = "diptych", version, max_term_width = 120, after_long_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) subcommand: Subcommand,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Subcommand {
    Dev(dev::Args),
    All(all::Args),
    Command(command::Args),
    Relay(relay::Args),
    Projector(projector::Args),
    Query(query::Args),
    Migrate(migrate::Args),
    Import(import::Args),
    Verify(verify::Args),
    Bench(bench::Args),
    Explain(explain::Args),
    /// Prints what makes a shell complete this program's flags.
    #[command(after_long_help = COMPLETIONS_HELP)]
    Completions {
        /// The shell.
        shell: Shell,
    },
}

const AFTER_HELP: &str = "\
Start here:
  diptych dev                        everything in one process, in memory
  diptych dev --data ./data          the same, kept in a folder
  diptych all --config FILE.toml     in one process, on Postgres, Kafka, ScyllaDB and Memcached
  diptych import FILE.csv --to URL   a bank's transactions in
  diptych verify --data ./data       every event replayed, every row compared

An error names its reason; `diptych explain REASON` says what led to it and what to do.";

const COMPLETIONS_HELP: &str = "\
Examples:
  diptych completions bash > ~/.local/share/bash-completion/completions/diptych
  diptych completions zsh > ~/.zfunc/_diptych
  diptych completions fish > ~/.config/fish/completions/diptych.fish";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_teaches_by_examples() {
        for command in Cli::command().get_subcommands_mut() {
            let help = command.render_long_help().to_string();
            assert!(help.contains(&format!("  diptych {}", command.get_name())), "{help}");
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
    }
}
