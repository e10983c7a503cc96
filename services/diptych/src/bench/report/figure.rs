//! A figure, what it is compared with, and their ratio.

use std::fmt;

use serde::Serialize;

use crate::client::table::grouped;

/// A measured figure and its comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Figure {
    /// The key of the figure, the same in every report.
    pub(super) id: &'static str,
    pub(super) name: String,
    pub(super) measured: Quantity,
    pub(super) compared_with: Option<Comparison>,
    /// Reason why there is no comparison, and what gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) comparison_missing: Option<String>,
    /// `measured` divided by `compared_with`, if there is one and it is not 0.
    pub(super) ratio: Option<f64>,
    /// A sentence that says what the figure counts.
    pub(super) counts: String,
}

/// A quantity from the same run: a limit, which the same machine reaches with less work, or another measurement.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Comparison {
    pub(super) name: String,
    #[serde(flatten)]
    pub(super) quantity: Quantity,
}

/// A number with its unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Quantity {
    pub(super) value: f64,
    pub(super) unit: Unit,
}

/// The unit of a quantity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unit {
    PerSecond,
    Milliseconds,
    Seconds,
    Answers,
}

impl Figure {
    /// Creates a figure with its comparison.
    pub(super) fn new(
        id: &'static str,
        name: &str,
        measured: Quantity,
        compared_with: Comparison,
        counts: impl Into<String>,
    ) -> Self {
        let ratio = ratio(measured.value, compared_with.quantity.value);
        let (name, counts) = (name.to_owned(), counts.into());
        Self { id, name, measured, compared_with: Some(compared_with), comparison_missing: None, ratio, counts }
    }

    /// Creates a figure without a comparison, for this reason.
    pub(super) fn without_comparison(
        id: &'static str,
        name: &str,
        measured: Quantity,
        reason: impl Into<String>,
        counts: impl Into<String>,
    ) -> Self {
        let (name, counts) = (name.to_owned(), counts.into());
        Self { id, name, measured, compared_with: None, comparison_missing: Some(reason.into()), ratio: None, counts }
    }

    /// The comparison as text, or the reason why it is missing.
    pub(super) fn comparison_text(&self) -> String {
        match (&self.compared_with, &self.comparison_missing) {
            (Some(compared_with), _) => format!("{} {}", compared_with.quantity, compared_with.name),
            (None, Some(reason)) => reason.clone(),
            (None, None) => String::new(),
        }
    }

    /// The ratio as text; `-` if there is none.
    pub(super) fn ratio_text(&self) -> String {
        self.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
    }
}

impl Comparison {
    pub(super) fn new(name: &str, quantity: Quantity) -> Self {
        Self { name: name.to_owned(), quantity }
    }
}

impl Quantity {
    pub(super) fn per_second(value: f64) -> Self {
        Self { value, unit: Unit::PerSecond }
    }

    pub(super) fn milliseconds(value: f64) -> Self {
        Self { value, unit: Unit::Milliseconds }
    }

    pub(super) fn seconds(value: f64) -> Self {
        Self { value, unit: Unit::Seconds }
    }

    pub(super) fn answers(count: u64) -> Self {
        #[allow(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
        let value = count as f64;
        Self { value, unit: Unit::Answers }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.unit {
            Unit::PerSecond => write!(f, "{}/s", whole(self.value)),
            Unit::Milliseconds => write!(f, "{:.2} ms", self.value),
            Unit::Seconds => write!(f, "{:.2} s", self.value),
            Unit::Answers => f.write_str(&whole(self.value)),
        }
    }
}

/// A rounded number with separators.
fn whole(value: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and `as` saturates")]
    let rounded = value.round() as u64;
    grouped(rounded)
}

/// The ratio, unless it is not a finite number.
pub(super) fn ratio(measured: f64, compared_with: f64) -> Option<f64> {
    Some(measured / compared_with).filter(|ratio| ratio.is_finite())
}
