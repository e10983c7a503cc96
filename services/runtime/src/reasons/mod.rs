//! Explanations of error reasons, read from the options of the proto files.

use diptych_proto::DESCRIPTOR_SET;
use prost_reflect::{DescriptorPool, DynamicMessage, EnumDescriptor, EnumValueDescriptor, ExtensionDescriptor};

#[cfg(test)]
mod tests;

const PREFIX: &str = "ERROR_REASON_";

/// The explanation of an error reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The package of its enum, the value of `google.rpc.ErrorInfo.domain`.
    pub domain: String,
    /// The reason, the value of `google.rpc.ErrorInfo.reason`.
    pub reason: String,
    /// The name of the gRPC code that comes with it, such as `NOT_FOUND`.
    pub code: String,
    /// The cause.
    pub cause: String,
    /// The action that the caller should take.
    pub client_action: String,
}

/// The descriptor set built into this program cannot be read: an error of the build.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the descriptor set built into this program cannot be read: {0}")]
pub struct DescriptorError(String);

/// Every reason of every domain, in the order of the proto files.
///
/// # Errors
/// If the descriptor set built into this program is invalid.
pub fn all() -> Result<Vec<Explanation>, DescriptorError> {
    let pool = DescriptorPool::decode(DESCRIPTOR_SET).map_err(|error| DescriptorError(error.to_string()))?;
    let info = pool
        .get_extension_by_name("diptych.v1.reason_info")
        .ok_or_else(|| DescriptorError("the option diptych.v1.reason_info is missing".to_owned()))?;
    let reasons = pool.all_enums().filter(|list| list.name() == "ErrorReason");
    Ok(reasons.flat_map(|list| explain_enum(&list, &info)).collect())
}

/// The explanations of a reason, one per domain that has it; empty if none has. `reason` may have the prefix
/// `ERROR_REASON_`, and be in upper or lower case.
///
/// # Errors
/// If the descriptor set built into this program is invalid.
pub fn explain(reason: &str) -> Result<Vec<Explanation>, DescriptorError> {
    let name = reason.trim().to_ascii_uppercase().replace('-', "_");
    let name = name.strip_prefix(PREFIX).unwrap_or(&name);
    Ok(all()?.into_iter().filter(|explanation| explanation.reason == name).collect())
}

fn explain_enum(list: &EnumDescriptor, info: &ExtensionDescriptor) -> Vec<Explanation> {
    // The zero value is never sent.
    list.values().filter(|value| value.number() != 0).map(|value| explain_value(list, &value, info)).collect()
}

fn explain_value(list: &EnumDescriptor, value: &EnumValueDescriptor, info: &ExtensionDescriptor) -> Explanation {
    let options = value.options();
    let info = options.get_extension(info);
    Explanation {
        domain: list.package_name().to_owned(),
        reason: value.name().strip_prefix(PREFIX).unwrap_or(value.name()).to_owned(),
        code: text(info.as_message(), "code"),
        cause: text(info.as_message(), "cause"),
        client_action: text(info.as_message(), "client_action"),
    }
}

fn text(message: Option<&DynamicMessage>, field: &str) -> String {
    let value = message.and_then(|message| message.get_field_by_name(field));
    value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
