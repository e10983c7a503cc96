//! `diptych bench report`: the figures of the README, each compared with another from the same run.

mod args;
mod bench_report;
mod environment;
mod figure;
mod findings;
#[cfg_attr(not(feature = "servers"), path = "no_insert_limit.rs")]
mod insert_limit;
mod load;
mod query_figures;
mod run;
mod write_figures;

pub(super) use args::Args;
pub(super) use run::run;

#[cfg(test)]
mod tests;
