//! Collects the invalid fields of a request, so that a caller learns of all of them at once.

use super::failure::Failure;

/// The invalid fields of one request, in the order in which they were checked.
///
/// ```
/// # use diptych_runtime::{Failure, InvalidFields};
/// # fn name(text: &str) -> Result<String, Failure> { Err(Failure::missing("name")) }
/// fn validate(text: &str) -> Result<String, Failure> {
///     let mut invalid = InvalidFields::default();
///     let name = invalid.check(name(text));
///     invalid.finish(name)
/// }
/// ```
#[derive(Debug, Default)]
pub struct InvalidFields(Vec<Failure>);

impl InvalidFields {
    /// Returns the value of a valid field. Records the failure of an invalid one.
    pub fn check<T>(&mut self, field: Result<T, Failure>) -> Option<T> {
        field.map_err(|failure| self.0.push(failure)).ok()
    }

    /// Returns the value made of all fields.
    ///
    /// # Errors
    /// When a field is invalid: its failure, or [`Failure::FieldsInvalid`] where there are several.
    /// [`Failure::Internal`] where `value` is `None` although no field is invalid, which is a bug of the caller.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Failure> {
        let mut failures = self.0.into_iter();
        match (failures.next(), value) {
            (None, Some(value)) => Ok(value),
            (None, None) => Err(Failure::Internal),
            (Some(first), _) => {
                let others: Vec<Failure> = failures.collect();
                Err(if others.is_empty() { first } else { Failure::FieldsInvalid { first: Box::new(first), others } })
            }
        }
    }
}
