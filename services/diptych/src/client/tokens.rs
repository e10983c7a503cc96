//! Consistency tokens of many receipts, joined into few.

use std::collections::BTreeMap;

use diptych_kernel::{Partition, Partitions, Position, Token};
use diptych_proto::diptych::v1::{Consistency, ConsistencyToken, Receipt};

/// Tokens that together are as fresh as all receipts that were added.
///
/// Only the service can make a token, so the newest one of each partition is kept as it was received.
#[derive(Clone, Debug, Default)]
pub(crate) struct JoinedTokens {
    newest: BTreeMap<Partition, (Position, String)>,
}

impl JoinedTokens {
    /// Adds the token of a receipt, or several joined by commas.
    ///
    /// # Errors
    /// When the text is not a token.
    pub(crate) fn add(&mut self, text: &str) -> anyhow::Result<()> {
        // Only the service knows the number of partitions, and checks it.
        let partitions = Partitions::new(Partitions::MAX)?;
        for part in text.split(',').filter(|part| !part.is_empty()) {
            for (partition, position) in Token::decode_unchecked(part, partitions)?.iter() {
                let known = self.newest.get(&partition).map(|(position, _)| *position);
                if known.is_none_or(|known| known < position) {
                    self.newest.insert(partition, (position, part.to_owned()));
                }
            }
        }
        Ok(())
    }

    /// Tokens that together cover everything that was added, each within the service's limit of 4,096 bytes. At least
    /// one, which is empty where nothing was added.
    pub(crate) fn texts(&self) -> Vec<String> {
        let mut parts: Vec<&str> = self.newest.values().map(|(_, text)| text.as_str()).collect();
        // A token of several partitions can be the newest one of each.
        parts.sort_unstable();
        parts.dedup();
        let mut texts = vec![String::new()];
        for part in parts {
            match texts.last_mut() {
                Some(text) if text.is_empty() => text.push_str(part),
                Some(text) if text.len() + 1 + part.len() <= Token::BYTES_MAX => {
                    text.push(',');
                    text.push_str(part);
                }
                _ => texts.push(part.to_owned()),
            }
        }
        texts
    }
}

/// Returns the requirement of an answer at least as fresh as a token; none where the token is empty.
pub(crate) fn at_least_as_fresh(token: &str) -> Option<Consistency> {
    match token {
        "" => None,
        text => Some(Consistency {
            at_least_as_fresh: Some(ConsistencyToken { value: text.to_owned() }),
            ..Consistency::default()
        }),
    }
}

/// The token of a receipt as text.
pub(crate) fn receipt_token(receipt: &Receipt) -> &str {
    receipt.written_at.as_ref().map_or("", |token| token.value.as_str())
}

#[cfg(test)]
mod tests {
    use diptych_kernel::vocabulary::{History, HistoryId, TokenIssuer, TokenKey};

    use super::*;

    fn issuer() -> TokenIssuer {
        TokenIssuer::new(History::new(HistoryId::random()), &TokenKey::random())
    }

    fn token(entries: &[(u16, i64)]) -> Token {
        entries.iter().map(|(number, at)| (Partition::new(*number), Position::from_i64(*at).unwrap())).collect()
    }

    #[test]
    fn joined_tokens_have_the_highest_position_of_each_partition() {
        let (issuer, mut tokens) = (issuer(), JoinedTokens::default());
        for entries in [&[(1, 5), (3, 1)][..], &[(2, 9)], &[(1, 7)], &[(2, 3)]] {
            tokens.add(&issuer.encode(&token(entries))).unwrap();
        }
        let texts = tokens.texts();
        assert_eq!(texts.len(), 1);
        let joined = issuer.decode(&texts[0], Partitions::new(4).unwrap()).unwrap();
        assert_eq!(joined, token(&[(1, 7), (2, 9), (3, 1)]));
        assert!(tokens.add("garbage").is_err());
    }

    #[test]
    fn tokens_of_all_partitions_are_split_to_the_size_limit() {
        let (issuer, mut tokens) = (issuer(), JoinedTokens::default());
        let all: Vec<_> = (0..Partitions::MAX).map(|number| (number, i64::MAX - i64::from(number))).collect();
        for entry in &all {
            tokens.add(&issuer.encode(&token(&[*entry]))).unwrap();
        }
        let texts = tokens.texts();
        assert!(texts.iter().all(|text| (1..=Token::BYTES_MAX).contains(&text.len())), "{texts:?}");
        let partitions = Partitions::new(Partitions::MAX).unwrap();
        let decoded = texts.iter().map(|text| issuer.decode(text, partitions).unwrap());
        let decoded: Token = decoded.flat_map(|token| token.iter().collect::<Vec<_>>()).collect();
        assert_eq!(decoded, token(&all));
    }

    #[test]
    fn a_token_of_several_partitions_is_kept_once() {
        let (issuer, mut tokens) = (issuer(), JoinedTokens::default());
        let text = issuer.encode(&token(&[(1, 5), (2, 5)]));
        tokens.add(&format!("{text},{text}")).unwrap();
        assert_eq!(tokens.texts(), [text]);
    }

    #[test]
    fn no_receipts_require_no_freshness() {
        assert_eq!(JoinedTokens::default().texts(), [""]);
        assert_eq!(at_least_as_fresh(""), None);
    }
}
