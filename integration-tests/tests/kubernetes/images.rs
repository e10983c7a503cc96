//! Images that the cluster has.

use std::{env, fs};

use serde::Deserialize;
use serde_json::{Value, json};

/// Names of images, as `repository:tag`.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Images {
    /// Of this tree.
    pub(crate) diptych: String,
    /// Of a later version: with one more migration of each database and a new generation of a view.
    pub(crate) next: Option<String>,
    /// Of the first version of the chart.
    pub(crate) first: Option<FirstVersion>,
    pub(crate) envoy: String,
    pub(crate) memcached: String,
}

/// The first version.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct FirstVersion {
    pub(crate) image: String,
    /// Folder of its chart.
    pub(crate) chart: String,
}

impl Images {
    /// Returns `None`, and says why, if they are not told.
    pub(crate) fn find() -> Option<Self> {
        let Some(path) = env::var_os("DIPTYCH_TEST_CLUSTER_IMAGES") else {
            println!("skipped: DIPTYCH_TEST_CLUSTER_IMAGES is not set");
            return None;
        };
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
        Some(serde_json::from_str(&text).unwrap())
    }
}

/// An image as the chart's values name it.
pub(crate) fn image_value(image: &str) -> Value {
    let (repository, tag) = image.rsplit_once(':').unwrap_or_else(|| panic!("{image} has no tag"));
    json!({"repository": repository, "tag": tag})
}
