//! Progress of each view in each partition.

mod change_counter;
mod conflict_checks;
mod load;
mod save;
mod save_clock;
mod table;
mod view_group;

pub(crate) use change_counter::ChangeCounter;
pub(crate) use table::ProgressTable;
