//! The data centre in which a majority of the replicas is read and written.

use std::collections::BTreeSet;

use diptych_kernel::ports::{PortError, PortResult};

use crate::config::{Consistency, ScyllaConfig};

/// Determines the data centre of the requests, of those that the cluster has. `None` with QUORUM, which asks the
/// replicas of all.
///
/// With LOCAL_QUORUM and several data centres, one must be named: the coordinator of each request would use the
/// replicas of its own data centre, so that a read may not see an acknowledged write.
pub(crate) fn of_requests(config: &ScyllaConfig, known: &BTreeSet<String>) -> PortResult<Option<String>> {
    let names = || known.iter().cloned().collect::<Vec<_>>().join(", ");
    if let Some(datacenter) = config.datacenter.as_ref().filter(|datacenter| !known.contains(*datacenter)) {
        return Err(PortError::operator(format!(
            "no node is in data centre {datacenter} (setting scylla.datacenter): the cluster has {}",
            names()
        )));
    }
    match (config.consistency, &config.datacenter) {
        (Consistency::Quorum, _) => Ok(None),
        (Consistency::LocalQuorum, Some(datacenter)) => Ok(Some(datacenter.clone())),
        (Consistency::LocalQuorum, None) if known.len() > 1 => Err(PortError::operator(format!(
            "the cluster has several data centres ({}) and none is chosen: with LOCAL_QUORUM, a read in one does not see \
             every acknowledged write in another. Set scylla.datacenter to one of them in all processes, or \
             scylla.consistency to QUORUM",
            names()
        ))),
        (Consistency::LocalQuorum, None) => Ok(known.first().cloned()),
    }
}

/// Checks the data centre of the requests against the recorded one. `is_only` is true if the cluster has no other.
pub(crate) fn check_recorded(
    keyspace: &str,
    recorded: Option<&str>,
    of_requests: Option<&str>,
    is_only: bool,
) -> PortResult<()> {
    match (recorded, of_requests) {
        _ if recorded == of_requests => Ok(()),
        // All replicas are in one data centre, so both levels ask the same ones.
        (None, Some(_)) | (Some(_), None) if is_only => Ok(()),
        _ => {
            let describe = |datacenter: Option<&str>| match datacenter {
                Some(datacenter) => format!("LOCAL_QUORUM in data centre {datacenter}"),
                None => "QUORUM over all data centres".to_owned(),
            };
            Err(PortError::operator(format!(
                "keyspace {keyspace} is used with {}, as its migration has recorded, and these settings are for {}: a \
                 read would not see every acknowledged write. Set scylla.datacenter and scylla.consistency as in the \
                 other processes. To move the installation, stop all of them, repair the keyspace, delete the row of \
                 table installation_datacenter, and run `diptych migrate`",
                describe(recorded),
                describe(of_requests)
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use diptych_kernel::ports::Remedy;

    use super::*;

    fn config(datacenter: Option<&str>, consistency: Consistency) -> ScyllaConfig {
        let config = ScyllaConfig::new(vec!["127.0.0.1:9042".into()], "diptych");
        ScyllaConfig { datacenter: datacenter.map(str::to_owned), consistency, ..config }
    }

    fn chosen(datacenter: Option<&str>, consistency: Consistency, known: &[&str]) -> PortResult<Option<String>> {
        let known = known.iter().map(|name| (*name).to_owned()).collect();
        of_requests(&config(datacenter, consistency), &known)
    }

    #[test]
    fn local_quorum_in_several_data_centres_needs_a_named_one() {
        let error = chosen(None, Consistency::LocalQuorum, &["paris", "rome"]).unwrap_err();
        assert_eq!(error.remedy(), Remedy::Operator);
        for part in ["paris, rome", "scylla.datacenter", "scylla.consistency to QUORUM"] {
            assert!(error.to_string().contains(part), "{part} is missing in: {error}");
        }
        let named = chosen(Some("rome"), Consistency::LocalQuorum, &["paris", "rome"]).unwrap();
        assert_eq!(named.as_deref(), Some("rome"));
    }

    #[test]
    fn one_data_centre_and_quorum_need_no_name() {
        let only = chosen(None, Consistency::LocalQuorum, &["paris"]).unwrap();
        assert_eq!(only.as_deref(), Some("paris"));
        assert_eq!(chosen(None, Consistency::Quorum, &["paris", "rome"]).unwrap(), None);
    }

    #[test]
    fn a_data_centre_without_nodes_is_refused() {
        for consistency in [Consistency::LocalQuorum, Consistency::Quorum] {
            let error = chosen(Some("atlantis"), consistency, &["paris", "rome"]).unwrap_err();
            assert!(error.to_string().contains("the cluster has paris, rome"), "{error}");
        }
    }

    #[test]
    fn a_data_centre_other_than_the_recorded_one_is_refused() {
        let check = |recorded, used, is_only| check_recorded("diptych", recorded, used, is_only);
        check(Some("paris"), Some("paris"), false).unwrap();
        check(None, None, false).unwrap();
        let error = check(Some("paris"), Some("rome"), false).unwrap_err();
        assert!(error.to_string().contains("paris") && error.to_string().contains("rome"), "{error}");
        check(Some("paris"), Some("rome"), true).unwrap_err();
        check(Some("paris"), None, false).unwrap_err();
        check(None, Some("rome"), false).unwrap_err();
        check(Some("paris"), None, true).unwrap();
        check(None, Some("paris"), true).unwrap();
    }
}
