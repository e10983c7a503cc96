//! `diptych bench report`: the figures that Diptych publishes, each with its limit from the same run.

mod args;
mod bench_report;
mod environment;
mod figure;
mod findings;
mod insert_limit;
mod load;
mod query_figures;
mod run;
mod write_figures;

pub(super) use args::Args;
pub(super) use run::run;

#[cfg(test)]
mod tests;
