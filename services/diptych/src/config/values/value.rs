//! Traits of setting values: the allowed range, and conversion to and from the configuration of a part.

/// A type that a setting can have.
pub(in crate::config) trait SettingValue {
    /// The allowed range or form, for the settings reference: "1 to 256", "10ms to 10m", "true or false".
    fn allowed() -> String;
}

/// Conversion between a setting and a field, of type `T`, of the configuration of the part that it sets.
pub(in crate::config) trait PartValue<T> {
    /// Returns the setting of a part's value; used for defaults.
    fn from_part(value: T) -> Self;
    /// Returns the part's value of the setting.
    fn to_part(&self) -> T;
}

impl SettingValue for String {
    fn allowed() -> String {
        "text, may be empty".to_owned()
    }
}

impl PartValue<String> for String {
    fn from_part(value: String) -> Self {
        value
    }

    fn to_part(&self) -> String {
        self.clone()
    }
}

/// An empty setting means `None`.
impl PartValue<Option<String>> for String {
    fn from_part(value: Option<String>) -> Self {
        value.unwrap_or_default()
    }

    fn to_part(&self) -> Option<String> {
        (!self.is_empty()).then(|| self.clone())
    }
}

/// Declares a setting type with a fixed list of words, and the variant of the part's own type that each stands for.
macro_rules! choices {
    (
        $(#[doc = $about:literal])+
        $vis:vis enum $Choice:ident for $Part:ty { $($(#[doc = $meaning:literal])+ $Variant:ident = $word:literal,)+ }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $Choice { $($(#[doc = $meaning])+ $Variant,)+ }

        impl $crate::config::values::SettingValue for $Choice {
            fn allowed() -> String {
                [$($word),+].join(", ")
            }
        }

        impl std::str::FromStr for $Choice {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($word => Ok(Self::$Variant),)+
                    _ => Err(format!("write one of {}", [$($word),+].join(", "))),
                }
            }
        }

        impl std::fmt::Display for $Choice {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self {
                    $(Self::$Variant => $word,)+
                })
            }
        }

        impl<'de> serde::Deserialize<'de> for $Choice {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }

        impl serde::Serialize for $Choice {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl $crate::config::values::PartValue<$Part> for $Choice {
            fn from_part(value: $Part) -> Self {
                match value {
                    $(<$Part>::$Variant => Self::$Variant,)+
                }
            }

            fn to_part(&self) -> $Part {
                match self {
                    $(Self::$Variant => <$Part>::$Variant,)+
                }
            }
        }
    };
}

pub(in crate::config) use choices;
