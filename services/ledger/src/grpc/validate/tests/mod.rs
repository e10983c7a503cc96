//! Invalid values of every field of every rpc, with their documented reasons.

mod commands;
mod queries;

use diptych_runtime::Failure;

/// Reason and field of a failure.
fn reason_and_field(failure: &Failure) -> (&'static str, String) {
    let field = match failure {
        Failure::FieldMissing { field }
        | Failure::FieldMalformed { field, .. }
        | Failure::FieldTooLong { field, .. }
        | Failure::FieldOutOfRange { field, .. }
        | Failure::TokenInvalid { field, .. }
        | Failure::PageTokenInvalid { field } => field.to_string(),
        other => panic!("not about a field: {other:?}"),
    };
    assert_eq!(failure.code(), tonic::Code::InvalidArgument, "{failure:?}");
    (failure.reason(), field)
}

const MISSING: &str = "FIELD_MISSING";
const MALFORMED: &str = "FIELD_MALFORMED";
const TOO_LONG: &str = "FIELD_TOO_LONG";
const OUT_OF_RANGE: &str = "FIELD_OUT_OF_RANGE";

/// Invalid ids, with the reason.
fn bad_ids() -> Vec<(String, &'static str)> {
    vec![
        (String::new(), MISSING),
        (" ".into(), MALFORMED),
        ("a b".into(), MALFORMED),
        ("a/b".into(), MALFORMED),
        ("é".into(), MALFORMED),
        ("a\0".into(), MALFORMED),
        ("a\n".into(), MALFORMED),
        ("x".repeat(65), TOO_LONG),
        ("x".repeat(100_000), TOO_LONG),
    ]
}

/// Invalid currencies, with the reason.
fn bad_currencies() -> Vec<(String, &'static str)> {
    let malformed = ["czk", "CZ", "CZKK", "C2K", "C K", "ČZK", "\0\0\0", "€"];
    let mut bad = vec![(String::new(), MISSING)];
    bad.extend(malformed.map(|text| (text.to_owned(), MALFORMED)));
    bad
}
