//! Names that are the same in every run, which is what makes an import safe to repeat.

use uuid::Uuid;

/// All request ids of imports are made from this.
const NAMESPACE: Uuid = Uuid::from_u128(0x5d1c_7b0e_8a34_4f6b_9c21_e7d0_53af_1862);

/// Makes request ids from what stands in the file.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    account_prefix: String,
}

impl Names {
    /// For accounts with this prefix. Another prefix makes other names: other accounts, filled from the same file.
    pub(crate) fn new(account_prefix: String) -> Self {
        Self { account_prefix }
    }

    /// What stands before every account id.
    pub(crate) fn account_prefix(&self) -> &str {
        &self.account_prefix
    }

    /// The request id of posting a transaction. No prefix has a stroke in it, so no two names are the same.
    pub(crate) fn transaction(&self, transaction_id: &str) -> Uuid {
        Uuid::new_v5(&NAMESPACE, format!("{}/transaction/{transaction_id}", self.account_prefix).as_bytes())
    }

    /// The request id of opening an account.
    pub(crate) fn opening(&self, account_id: &str) -> Uuid {
        Uuid::new_v5(&NAMESPACE, format!("{}/open/{account_id}", self.account_prefix).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written down once: if this changes, a file that was imported before would be imported again.
    #[test]
    fn request_ids_never_change() {
        let names = Names::new(String::new());
        assert_eq!(names.transaction("171812").to_string(), "065c95ca-58c7-5b30-bb40-0a4b18d0426c");
        assert_eq!(names.opening("576").to_string(), "efc5d6e2-f753-5d70-9f39-948b6875fcc0");
    }

    #[test]
    fn prefix_and_kind_keep_names_apart() {
        let (plain, other) = (Names::new(String::new()), Names::new("b-".to_owned()));
        assert_ne!(plain.transaction("1"), other.transaction("1"));
        assert_ne!(plain.transaction("1"), plain.opening("1"));
    }
}
