use std::collections::BTreeSet;

use super::*;

/// The gRPC codes in use.
const CODES: [&str; 8] = [
    "INVALID_ARGUMENT",
    "FAILED_PRECONDITION",
    "NOT_FOUND",
    "ABORTED",
    "ALREADY_EXISTS",
    "UNAVAILABLE",
    "RESOURCE_EXHAUSTED",
    "INTERNAL",
];

#[test]
fn every_reason_of_every_domain_is_explained() {
    let all = all().unwrap();
    for explanation in &all {
        let Explanation { domain, reason, code, cause, client_action } = explanation;
        assert!(CODES.contains(&code.as_str()), "{domain} {reason}: code {code:?}");
        for text in [cause, client_action] {
            assert!(text.len() > 10 && text.ends_with('.'), "{domain} {reason}: {text:?}");
        }
    }
    let domains: BTreeSet<_> = all.iter().map(|explanation| explanation.domain.as_str()).collect();
    assert!(domains.contains("diptych.v1"));
    assert!(domains.len() > 1, "reasons of domains are included: {domains:?}");
}

#[test]
fn a_reason_is_found_in_any_spelling() {
    for name in ["VERSION_MISMATCH", "ERROR_REASON_VERSION_MISMATCH", "version-mismatch", " version_mismatch "] {
        let found = explain(name).unwrap();
        assert_eq!(found.len(), 1, "{name}");
        assert_eq!((found[0].domain.as_str(), found[0].code.as_str()), ("diptych.v1", "ABORTED"));
    }
    assert_eq!(explain("UNSPECIFIED").unwrap(), []);
    assert_eq!(explain("").unwrap(), []);
}
