//! `logs`.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use diptych_stack::Stack;

/// Polling interval of a followed log.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Prints the log of a process: its standard output and error.
#[derive(Debug, clap::Args)]
#[command(after_long_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Name of the process, as shown by `cargo stack status`.
    #[arg(value_name = "PROCESS")]
    process: String,

    /// Follows the log and prints new lines.
    #[arg(short, long)]
    follow: bool,

    /// Number of lines from the end.
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 100)]
    lines: usize,
}

const AFTER_HELP: &str = "\
Examples:
  cargo stack logs kafka
  cargo stack logs command-1 -f
  cargo stack logs postgres -n 1000";

pub(crate) async fn run(args: &Args, stack: &Stack) -> anyhow::Result<ExitCode> {
    let path = stack.log(&args.process)?;
    let mut file = File::open(&path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut text = Vec::new();
    file.read_to_end(&mut text)?;
    print(last_lines(&text, args.lines))?;
    if args.follow {
        follow(&mut file).await?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what is appended after the current position, until the program is interrupted.
async fn follow(file: &mut File) -> anyhow::Result<()> {
    let mut text = Vec::new();
    loop {
        // Shorter than before: the file was truncated.
        let (length, printed) = (file.metadata()?.len(), file.stream_position()?);
        if length < printed {
            file.seek(SeekFrom::Start(0))?;
        }
        text.clear();
        if file.read_to_end(&mut text)? > 0 {
            print(&text)?;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn print(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

fn last_lines(text: &[u8], count: usize) -> &[u8] {
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    let ends = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').map(|(position, _)| position);
    match (count, ends.take(count).nth(count.saturating_sub(1))) {
        (0, _) => &[],
        (_, Some(end)) => text.get(end + 1..).unwrap_or_default(),
        (_, None) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_from_the_end() {
        let text = b"one\ntwo\nthree\n";
        assert_eq!(last_lines(text, 1), b"three\n");
        assert_eq!(last_lines(text, 2), b"two\nthree\n");
        assert_eq!(last_lines(text, 3), text);
        assert_eq!(last_lines(text, 9), text);
        assert_eq!(last_lines(text, 0), b"");
        assert_eq!(last_lines(b"one\ntwo", 1), b"two");
        assert_eq!(last_lines(b"", 1), b"");
    }
}
