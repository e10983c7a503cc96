//! `diptych settings`: the reference of all settings.

use std::process::ExitCode;

use crate::config;

/// The exit status where no setting is found.
const EXIT_UNKNOWN: u8 = 2;

/// List all settings with their meaning, default, allowed values and environment variable.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Only settings whose key or variable contains this text, such as "timeout"; else those with its words.
    text: Option<String>,

    /// Print a Markdown table of all settings.
    #[arg(long, conflicts_with = "text")]
    markdown: bool,
}

const AFTER_HELP: &str = "\
Examples:
  diptych settings
  diptych settings postgres.url
  diptych settings timeout
  diptych settings DIPTYCH_QUERY__CACHED_AGE_MAX
  diptych settings --markdown > settings.md

`diptych dev --dump-config` prints the same settings as a file, with their current values.";

/// Prints the reference.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let text = args.text.as_deref().unwrap_or_default();
    let reference = if args.markdown { config::reference()? } else { config::table(text)? };
    if reference.is_empty() {
        let of_build =
            if cfg!(feature = "servers") { "" } else { " of this build, which has no adapters for servers," };
        eprintln!("no setting{of_build} contains {text:?}; `diptych settings` lists all");
        return Ok(ExitCode::from(EXIT_UNKNOWN));
    }
    print!("{reference}");
    Ok(ExitCode::SUCCESS)
}
