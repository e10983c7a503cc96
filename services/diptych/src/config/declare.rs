//! The macro that declares each setting once: its key, type, range, default and meaning.

use serde::Serialize;

use super::values::SettingValue;

/// All settings of a configuration, in groups, with their values.
#[derive(Debug, Default)]
pub(crate) struct Reference {
    /// The first group has no name: it holds the settings outside of any section.
    pub(crate) groups: Vec<GroupInfo>,
}

/// A section of the settings file.
#[derive(Debug, Default)]
pub(crate) struct GroupInfo {
    /// The name of the section, such as "grpc".
    pub(crate) name: String,
    /// The purpose of the section.
    pub(crate) meaning: String,
    pub(crate) settings: Vec<SettingInfo>,
}

/// One setting.
#[derive(Debug)]
pub(crate) struct SettingInfo {
    /// The name within its section, such as "connections_max".
    pub(crate) name: String,
    /// The full key, such as "grpc.connections_max".
    pub(crate) key: String,
    /// The description of the setting.
    pub(crate) meaning: String,
    /// The allowed range or form.
    pub(crate) allowed: String,
    /// The value, without secrets.
    pub(crate) value: toml::Value,
}

/// A setting, or a section of settings.
pub(super) trait Describe {
    /// Adds this setting, or all settings of this section, to the reference.
    ///
    /// # Errors
    /// When a value has no TOML form, which no setting type lacks.
    fn describe(&self, name: &str, meaning: &str, reference: &mut Reference) -> Result<(), toml::ser::Error>;
}

impl<T: SettingValue + Serialize> Describe for T {
    fn describe(&self, name: &str, meaning: &str, reference: &mut Reference) -> Result<(), toml::ser::Error> {
        let value = toml::Value::try_from(self)?;
        if reference.groups.is_empty() {
            reference.groups.push(GroupInfo::default());
        }
        if let Some(group) = reference.groups.last_mut() {
            let key = if group.name.is_empty() { name.to_owned() } else { format!("{}.{name}", group.name) };
            let (name, meaning) = (name.to_owned(), meaning.trim().to_owned());
            group.settings.push(SettingInfo { name, key, meaning, allowed: T::allowed(), value });
        }
        Ok(())
    }
}

/// Declares a section of settings. The doc comment of a setting is its meaning in `--dump-config` and in the reference.
///
/// With `for (Part = default)` the settings configure a part of the product, and `part()` returns its configuration. A
/// setting without `= default` has the default of the part's field of the same name, or of the field named after `as`,
/// and sets that field. A setting with `= default` is not passed on by `part()`.
macro_rules! settings {
    (
        $(#[doc = $about:literal])+
        $vis:vis struct $Group:ident for ($Part:ty = $part:expr) {
            $(
                $(#[doc = $meaning:literal])+
                $field_vis:vis $field:ident: $Value:ty $(as $part_field:ident)? $(= $default:expr)?,
            )*
        }
    ) => {
        settings! { @group
            $(#[doc = $about])+
            $vis struct $Group { $([$($meaning)+] $field_vis $field: $Value,)* }
        }

        impl Default for $Group {
            fn default() -> Self {
                let part: $Part = $part;
                Self { $($field: settings!(@default part $field $(as $part_field)? $(= $default)?)),* }
            }
        }

        impl $Group {
            /// The configuration of the part with these settings.
            $vis fn part(&self) -> $Part {
                let mut part: $Part = $part;
                $(settings!(@set self part $field $(as $part_field)? $(= $default)?);)*
                part
            }
        }
    };
    (
        $(#[doc = $about:literal])+
        $vis:vis struct $Group:ident {
            $(
                $(#[cfg($condition:meta)])?
                $(#[doc = $meaning:literal])+
                $field_vis:vis $field:ident: $Value:ty = $default:expr,
            )*
        }
    ) => {
        settings! { @group
            $(#[doc = $about])+
            $vis struct $Group { $([$($meaning)+] $(#[cfg($condition)])? $field_vis $field: $Value,)* }
        }

        impl Default for $Group {
            fn default() -> Self {
                Self { $($(#[cfg($condition)])? $field: $default),* }
            }
        }
    };
    (@group
        $(#[doc = $about:literal])+
        $vis:vis struct $Group:ident {
            $([$($meaning:literal)+] $(#[cfg($condition:meta)])? $field_vis:vis $field:ident: $Value:ty,)*
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        $vis struct $Group { $($(#[cfg($condition)])? $(#[doc = $meaning])+ $field_vis $field: $Value,)* }

        impl $crate::config::declare::Describe for $Group {
            fn describe(
                &self,
                name: &str,
                meaning: &str,
                reference: &mut $crate::config::declare::Reference,
            ) -> Result<(), toml::ser::Error> {
                reference.groups.push($crate::config::declare::GroupInfo {
                    name: name.to_owned(),
                    meaning: meaning.trim().to_owned(),
                    settings: Vec::new(),
                });
                $(
                    $(#[cfg($condition)])?
                    $crate::config::declare::Describe::describe(
                        &self.$field,
                        stringify!($field),
                        concat!($($meaning),+),
                        reference,
                    )?;
                )*
                Ok(())
            }
        }
    };
    (@default $part:ident $field:ident) => { $crate::config::values::PartValue::from_part($part.$field) };
    (@default $part:ident $field:ident as $part_field:ident) => {
        $crate::config::values::PartValue::from_part($part.$part_field)
    };
    (@default $part:ident $field:ident = $default:expr) => { $default };
    (@set $self:ident $part:ident $field:ident) => {
        $part.$field = $crate::config::values::PartValue::to_part(&$self.$field)
    };
    (@set $self:ident $part:ident $field:ident as $part_field:ident) => {
        $part.$part_field = $crate::config::values::PartValue::to_part(&$self.$field)
    };
    (@set $self:ident $part:ident $field:ident = $default:expr) => {};
}

pub(super) use settings;
