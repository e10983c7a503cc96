//! The command line.

use clap::{
    CommandFactory, Parser,
    error::{ContextKind, ContextValue, Error, ErrorKind},
};
use clap_complete::Shell;
use strsim::damerau_levenshtein;

use crate::{backup, bench, dev, explain, health, import, outage, rebase, settings, verify};
#[cfg(feature = "servers")]
use crate::{
    envoy, migrate,
    services::{all, command, projector, query, relay},
    status,
};

/// A CQRS backend: takes commands over gRPC, commits their events, projects them into read tables, and answers queries
/// over gRPC. No event is lost or applied twice, and every client can read its own writes.
#[derive(Debug, Parser)]
#[command(name = "diptych", version, max_term_width = 120, after_long_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) subcommand: Subcommand,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Subcommand {
    Dev(dev::Args),
    #[cfg(feature = "servers")]
    All(all::Args),
    #[cfg(feature = "servers")]
    Command(command::Args),
    #[cfg(feature = "servers")]
    Relay(relay::Args),
    #[cfg(feature = "servers")]
    Projector(projector::Args),
    #[cfg(feature = "servers")]
    Query(query::Args),
    #[cfg(feature = "servers")]
    Migrate(migrate::Args),
    #[cfg(feature = "servers")]
    Status(status::Args),
    #[cfg(feature = "servers")]
    Envoy(envoy::Args),
    Health(health::Args),
    Import(import::Args),
    Backup(backup::Args),
    Outage(outage::Args),
    Rebase(rebase::Args),
    Verify(verify::Args),
    Bench(bench::Args),
    Explain(explain::Args),
    Settings(settings::Args),
    /// Print a completion script for a shell.
    #[command(after_long_help = COMPLETIONS_HELP)]
    Completions {
        /// The shell to complete in.
        shell: Shell,
    },
}

const AFTER_HELP: &str = "\
Start here:
  diptych dev                        run everything in one process, in memory
  diptych dev --data ./data          the same, stored in a folder
  diptych all --config FILE.toml     run everything in one process, on Postgres, Kafka, ScyllaDB and Memcached
  diptych import FILE.csv --to URL   import a bank's transactions
  diptych backup --data ./data --to ./backup
                                     copy a folder, also while it is in use
  diptych outage --data ./data       take the write database down for 30 s, to see what happens
  diptych rebase --data ./data       go on with an older events.db, after a restore
  diptych verify --data ./data       replay every event and compare every row
  diptych settings                   list all settings

A gRPC error has a reason; `diptych explain REASON` describes its cause and what to do.";

const COMPLETIONS_HELP: &str = "\
Examples:
  diptych completions bash > ~/.local/share/bash-completion/completions/diptych
  diptych completions zsh > ~/.zfunc/_diptych
  diptych completions fish > ~/.config/fish/completions/diptych.fish";

/// The subcommands that this build does not have.
const SUBCOMMANDS_OF_OTHER_BUILDS: &[&str] = if cfg!(feature = "servers") {
    &[]
} else {
    &["all", "command", "relay", "projector", "query", "migrate", "status", "envoy"]
};

/// Parses the command line. Exits with a message where it is invalid, or asks for help.
pub(crate) fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|error| suggested(error).exit())
}

/// Adds a remedy to the error for an unknown subcommand: the build that has it, or the subcommand with the nearest
/// name, as clap itself suggests none for short names such as "dv".
fn suggested(mut error: Error) -> Error {
    if error.kind() != ErrorKind::InvalidSubcommand {
        return error;
    }
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidSubcommand) else { return error };
    if SUBCOMMANDS_OF_OTHER_BUILDS.contains(&unknown.as_str()) {
        let remedy = format!(
            "'{unknown}' uses real servers, and this build has no adapters for them (Cargo feature \"servers\"): use \
             `cargo run --release -- {unknown}`"
        );
        return Cli::command().error(ErrorKind::InvalidSubcommand, remedy);
    }
    if error.get(ContextKind::SuggestedSubcommand).is_some() {
        return error;
    }
    let command = Cli::command();
    let names = command.get_subcommands().map(|command| command.get_name().to_owned());
    let nearest = names.map(|name| (damerau_levenshtein(unknown, &name), name)).min();
    if let Some((edits, name)) = nearest
        && edits <= 2
    {
        error.insert(ContextKind::SuggestedSubcommand, ContextValue::Strings(vec![name]));
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_misspelt_subcommand_is_answered_with_the_nearest() {
        for (misspelt, name) in [("dv", "dev"), ("migate", "migrate"), ("al", "all")] {
            let text = suggested(Cli::try_parse_from(["diptych", misspelt]).unwrap_err()).to_string();
            assert!(text.contains(&format!("'{name}'")), "{text}");
        }
        let text = suggested(Cli::try_parse_from(["diptych", "frobnicate"]).unwrap_err()).to_string();
        assert!(!text.contains("similar"), "{text}");
    }

    #[test]
    fn every_subcommand_has_a_description_and_examples() {
        for command in Cli::command().get_subcommands_mut() {
            let help = command.render_long_help().to_string();
            assert!(help.contains(&format!("  diptych {}", command.get_name())), "{help}");
            assert!(command.get_about().is_some(), "{}", command.get_name());
        }
    }
}
