//! Consistency tokens of many receipts, joined into few.

use diptych_kernel::{Partitions, Token};
use diptych_proto::diptych::v1::{Consistency, ConsistencyToken, Receipt};

/// A consistency token as fresh as all receipts that were added.
#[derive(Clone, Debug, Default)]
pub(crate) struct JoinedTokens {
    joined: Token,
}

impl JoinedTokens {
    /// Adds the token of a receipt, or several joined by commas.
    ///
    /// # Errors
    /// When the text is not a token.
    pub(crate) fn add(&mut self, text: &str) -> anyhow::Result<()> {
        // Only the server knows the number of partitions, and checks it.
        let partitions = Partitions::new(Partitions::MAX)?;
        for (partition, position) in Token::decode(text, partitions)?.iter() {
            self.joined.raise(partition, position);
        }
        Ok(())
    }

    /// Tokens that together cover everything that was added, each within the service's limit of 4,096 bytes; one token
    /// up to about 300 partitions. At least one, which is empty where nothing was added.
    pub(crate) fn texts(&self) -> Vec<String> {
        let mut parts = vec![self.joined.clone()];
        while parts.iter().any(|part| part.encode().len() > Token::BYTES_MAX) {
            parts = parts.iter().flat_map(halves).collect();
        }
        parts.iter().map(Token::encode).collect()
    }
}

fn halves(token: &Token) -> [Token; 2] {
    let middle = token.iter().count() / 2;
    [token.iter().take(middle).collect(), token.iter().skip(middle).collect()]
}

/// Returns the requirement of an answer at least as fresh as a token; none where the token is empty.
pub(crate) fn at_least_as_fresh(token: &str) -> Option<Consistency> {
    match token {
        "" => None,
        text => Some(Consistency { at_least_as_fresh: Some(ConsistencyToken { value: text.to_owned() }) }),
    }
}

/// The token of a receipt as text.
pub(crate) fn receipt_token(receipt: &Receipt) -> &str {
    receipt.written_at.as_ref().map_or("", |token| token.value.as_str())
}

#[cfg(test)]
mod tests {
    use diptych_kernel::{Partition, Position};

    use super::*;

    fn token(partition: u16, position: i64) -> Token {
        [(Partition::new(partition), Position::from_i64(position).unwrap())].into_iter().collect()
    }

    #[test]
    fn joined_tokens_have_the_highest_position_of_each_partition() {
        let mut tokens = JoinedTokens::default();
        for (partition, position) in [(1, 5), (2, 9), (1, 7), (2, 3)] {
            tokens.add(&token(partition, position).encode()).unwrap();
        }
        let mut expected = token(1, 7);
        expected.raise(Partition::new(2), Position::from_i64(9).unwrap());
        assert_eq!(tokens.texts(), [expected.encode()]);
        assert!(tokens.add("garbage").is_err());
    }

    #[test]
    fn a_token_of_all_partitions_is_split_to_the_size_limit() {
        let mut tokens = JoinedTokens::default();
        for partition in 0..Partitions::MAX {
            tokens.add(&token(partition, i64::MAX - i64::from(partition)).encode()).unwrap();
        }
        let texts = tokens.texts();
        assert!(texts.iter().all(|text| (1..=Token::BYTES_MAX).contains(&text.len())), "{texts:?}");
        let mut again = JoinedTokens::default();
        for text in &texts {
            again.add(text).unwrap();
        }
        assert_eq!(again.joined, tokens.joined);
    }

    #[test]
    fn no_receipts_require_no_freshness() {
        assert_eq!(JoinedTokens::default().texts(), [""]);
        assert_eq!(at_least_as_fresh(""), None);
    }
}
