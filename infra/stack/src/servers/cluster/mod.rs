//! Postgres with standbys: one etcd, and members that each consist of Patroni and its Postgres.

mod etcd;
mod member;
mod passwords;
mod shared;

pub(crate) use etcd::{NAME as ETCD, prepare as etcd};
pub(crate) use member::{MemberPorts, has_data, prepare as member};

use super::server::Server;

/// Names of the members of a Postgres with this many standbys. The first is the primary of a new database.
pub(crate) fn member_names(standbys: u16) -> Vec<String> {
    let first = Server::Postgres.name();
    let others = (2..=standbys.saturating_add(1)).map(|number| format!("{first}-{number}"));
    std::iter::once(first.to_owned()).chain(others).collect()
}

/// Place of a server among those of its stage: higher ones stop first. Standbys stop before the primary, so that none
/// of them takes over meanwhile, and etcd stops last.
pub(crate) fn place_in_stage(process: &str, primary: Option<&str>) -> u8 {
    match process {
        ETCD => 0,
        _ if primary == Some(process) => 1,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_numbered_and_the_first_has_the_name_of_the_server() {
        assert_eq!(member_names(0), ["postgres"]);
        assert_eq!(member_names(2), ["postgres", "postgres-2", "postgres-3"]);
    }

    #[test]
    fn standbys_stop_before_the_primary_and_etcd_stops_last() {
        let mut names = ["etcd", "postgres", "postgres-2", "postgres-3"];
        names.sort_by_key(|name| std::cmp::Reverse(place_in_stage(name, Some("postgres-2"))));
        assert_eq!(names, ["postgres", "postgres-3", "postgres-2", "etcd"]);
    }
}
