//! Request ids that are the same in every run, so that an import can be repeated.

use uuid::Uuid;

/// Namespace of the request ids of all imports.
const NAMESPACE: Uuid = Uuid::from_u128(0x5d1c_7b0e_8a34_4f6b_9c21_e7d0_53af_1862);

/// Derives request ids from the account prefix and the ids in the file.
#[derive(Clone, Debug)]
pub(crate) struct RequestIds {
    account_prefix: String,
}

impl RequestIds {
    /// Request ids for accounts with this prefix. Another prefix has other request ids.
    pub(crate) fn new(account_prefix: String) -> Self {
        Self { account_prefix }
    }

    /// Prefix of every account id.
    pub(crate) fn account_prefix(&self) -> &str {
        &self.account_prefix
    }

    /// Returns the request id of the posting of a transaction. No prefix contains '/', so ids of different prefixes
    /// differ.
    pub(crate) fn posting(&self, transaction_id: &str) -> Uuid {
        Uuid::new_v5(&NAMESPACE, format!("{}/transaction/{transaction_id}", self.account_prefix).as_bytes())
    }

    /// Returns the request id of the opening of an account.
    pub(crate) fn opening(&self, account_id: &str) -> Uuid {
        Uuid::new_v5(&NAMESPACE, format!("{}/open/{account_id}", self.account_prefix).as_bytes())
    }
}

/// Returns the request id of the next attempt, after the one with this request id was refused.
pub(crate) fn next_request_id(request_id: &str) -> String {
    let namespace = Uuid::try_parse(request_id).unwrap_or(NAMESPACE);
    Uuid::new_v5(&namespace, b"next attempt").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With other request ids, a file that was imported before would be posted twice.
    #[test]
    fn request_ids_never_change() {
        let ids = RequestIds::new(String::new());
        assert_eq!(ids.posting("171812").to_string(), "065c95ca-58c7-5b30-bb40-0a4b18d0426c");
        assert_eq!(ids.opening("576").to_string(), "efc5d6e2-f753-5d70-9f39-948b6875fcc0");
    }

    #[test]
    fn the_next_request_id_depends_only_on_the_one_before() {
        let first = "065c95ca-58c7-5b30-bb40-0a4b18d0426c";
        assert_eq!(next_request_id(first), next_request_id(first));
        assert_ne!(next_request_id(first), next_request_id(&next_request_id(first)));
    }

    #[test]
    fn request_ids_differ_by_prefix_and_by_kind_of_command() {
        let (plain, other) = (RequestIds::new(String::new()), RequestIds::new("b-".to_owned()));
        assert_ne!(plain.posting("1"), other.posting("1"));
        assert_ne!(plain.posting("1"), plain.opening("1"));
    }
}
