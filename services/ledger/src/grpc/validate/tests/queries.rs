use std::time::Duration;

use diptych_kernel::{
    Partition, Partitions, Position, Token,
    vocabulary::{History, HistoryId, TokenIssuer, TokenKey},
};
use diptych_proto::diptych::v1::{Consistency, ConsistencyToken};

use diptych_runtime::InvalidFields;

use super::*;
use crate::domain::AccountId;
use crate::grpc::validate::{account_id, account_ids, age_max, currency, owner_id, page_size, request_id, token};

fn texts<const N: usize>(texts: [&str; N]) -> Vec<String> {
    texts.map(str::to_owned).to_vec()
}

#[test]
fn ids_and_currencies_are_checked() {
    for (text, reason) in bad_ids() {
        assert_eq!(reason_and_field(&account_id(&text).unwrap_err()), (reason, "account_id".into()), "{text:?}");
        assert_eq!(reason_and_field(&owner_id(&text).unwrap_err()), (reason, "owner_id".into()), "{text:?}");
    }
    for (text, reason) in bad_currencies() {
        assert_eq!(reason_and_field(&currency(&text).unwrap_err()), (reason, "currency_code".into()), "{text:?}");
    }
    for (text, reason) in [("", MISSING), ("x", MALFORMED)] {
        assert_eq!(reason_and_field(&request_id(text).unwrap_err()), (reason, "request_id".into()), "{text:?}");
    }
}

fn ids_of(texts: &[String]) -> Result<Vec<AccountId>, Failure> {
    let mut invalid = InvalidFields::default();
    let ids = account_ids(texts, &mut invalid);
    invalid.finish(ids)
}

#[test]
fn all_invalid_ids_of_a_batch_are_named_at_once() {
    let Failure::FieldsInvalid { first, others } = ids_of(&texts(["", "a", "a b", "a/b"])).unwrap_err() else {
        panic!("three fields are invalid")
    };
    assert_eq!(reason_and_field(&first), (MISSING, "account_ids[0]".into()));
    let others: Vec<_> = others.iter().map(reason_and_field).collect();
    assert_eq!(others, [(MALFORMED, "account_ids[2]".into()), (MALFORMED, "account_ids[3]".into())]);
}

#[test]
fn a_batch_names_1_to_100_ids() {
    assert_eq!(reason_and_field(&ids_of(&[]).unwrap_err()), (MISSING, "account_ids".into()));
    let many: Vec<String> = (0..101).map(|number| format!("a{number}")).collect();
    assert_eq!(reason_and_field(&ids_of(&many).unwrap_err()), (TOO_LONG, "account_ids".into()));
    assert_eq!(ids_of(&many[..100]).unwrap().len(), 100);
    for (text, reason) in bad_ids() {
        let ids = [texts(["a", "b"]), vec![text.clone()]].concat();
        assert_eq!(reason_and_field(&ids_of(&ids).unwrap_err()), (reason, "account_ids[2]".into()), "{text:?}");
    }
}

#[test]
fn duplicate_ids_are_removed() {
    let ids = ids_of(&texts(["b", "a", "b", "c", "a"])).unwrap();
    assert_eq!(ids.iter().map(ToString::to_string).collect::<Vec<_>>(), ["b", "a", "c"]);
}

#[test]
fn the_page_size_has_a_default_and_a_maximum() {
    for (requested, expected) in [(0, 50), (1, 1), (500, 500), (501, 500), (i32::MAX, 500)] {
        assert_eq!(page_size(requested).unwrap(), expected);
    }
    for negative in [-1, i32::MIN] {
        assert_eq!(reason_and_field(&page_size(negative).unwrap_err()), (OUT_OF_RANGE, "page_size".into()));
    }
}

fn consistency(value: String) -> Option<Consistency> {
    Some(Consistency { at_least_as_fresh: Some(ConsistencyToken { value }), ..Consistency::default() })
}

#[test]
fn a_token_of_another_installation_is_refused() {
    let sixteen = Partitions::new(16).unwrap();
    let good: Token = [(Partition::new(3), Position::from_i64(77).unwrap())].into_iter().collect();
    let [tokens, others] = [1, 2].map(|_| TokenIssuer::new(History::new(HistoryId::random()), &TokenKey::random()));
    assert_eq!(token(consistency(tokens.encode(&good)).as_ref(), &tokens, sixteen).unwrap(), good);
    for none in [None, Some(Consistency::default()), consistency(String::new())] {
        assert_eq!(token(none.as_ref(), &tokens, sixteen).unwrap(), Token::default());
    }
    let two = Partitions::new(2).unwrap();
    let field = "consistency.at_least_as_fresh.value".to_owned();
    assert_eq!(
        reason_and_field(&token(consistency(tokens.encode(&good)).as_ref(), &tokens, two).unwrap_err()),
        ("TOKEN_INVALID", field.clone())
    );
    assert_eq!(
        reason_and_field(&token(consistency(others.encode(&good)).as_ref(), &tokens, sixteen).unwrap_err()),
        ("TOKEN_INVALID", field.clone())
    );
    for garbage in ["x", ",", "AAAA", "not a token", "\0", &"A".repeat(5_000)] {
        let failure = token(consistency(garbage.to_owned()).as_ref(), &tokens, sixteen).unwrap_err();
        assert_eq!(reason_and_field(&failure), ("TOKEN_INVALID", field.clone()), "{garbage}");
    }
}

#[test]
fn the_age_must_be_more_than_zero() {
    let of = |seconds, nanos| Consistency {
        not_older_than: Some(prost_types::Duration { seconds, nanos }),
        ..Consistency::default()
    };
    for none in [None, Some(&Consistency::default())] {
        assert_eq!(age_max(none).unwrap(), None);
    }
    assert_eq!(age_max(Some(&of(5, 0))).unwrap(), Some(Duration::from_secs(5)));
    assert_eq!(age_max(Some(&of(0, 1))).unwrap(), Some(Duration::from_nanos(1)));
    for (seconds, nanos) in [(0, 0), (-1, 0), (0, -1), (i64::MIN, i32::MIN)] {
        let failure = age_max(Some(&of(seconds, nanos))).unwrap_err();
        assert_eq!(
            reason_and_field(&failure),
            (OUT_OF_RANGE, "consistency.not_older_than".into()),
            "{seconds} {nanos}"
        );
    }
}
