//! The reference of the API as Markdown, made from the proto files and their comments.

use std::fmt::Write;

use diptych_proto::DESCRIPTOR_SET;
use diptych_runtime::reasons;
use prost_reflect::{
    DescriptorPool, DynamicMessage, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
    MethodDescriptor, ServiceDescriptor,
};

use super::pages::anchor;

const INTRODUCTION: &str = "\
# API

<!-- Generated from proto/. To update: DIPTYCH_UPDATE_DOCS=1 cargo test --workspace --test docs generated -->

Every call, message and error reason. The proto files are in [proto/](../proto); reflection is on, so
`grpcurl -plaintext 127.0.0.1:7400 list` works without them. How to begin: [README](../README.md). When a call fails:
[TROUBLESHOOTING.md](TROUBLESHOOTING.md#errors-of-calls).

**JSON.** `dev`, `all` and the gateway answer JSON over HTTP too, by the route that each call has below. Fields in
braces are part of the path; the others are in the body of a POST, or in the query of a GET (`?page_size=10`, nested
ones with dots). In answers, names are in camelCase, 64-bit numbers are strings, and fields with default values may be
left out. An error is `{\"code\": ..., \"message\": ..., \"details\": [...]}` with the HTTP status of its code.
";

/// The packages, in the order of the page.
const PACKAGES: [&str; 4] = ["ledger.command.v1", "ledger.query.v1", "diptych.v1", "ledger.event.v1"];

/// Returns the page.
pub(crate) fn reference() -> String {
    let pool = DescriptorPool::decode(DESCRIPTOR_SET).unwrap();
    let own = |file: &FileDescriptor| !file.package_name().starts_with("google.");
    assert!(
        pool.files().filter(own).all(|file| PACKAGES.contains(&file.package_name())),
        "a package is missing in PACKAGES"
    );
    let mut page = INTRODUCTION.to_owned();
    contents(&mut page, &pool);
    for package in PACKAGES {
        let files: Vec<_> = pool.files().filter(|file| file.package_name() == package).collect();
        let about = files.iter().find_map(|file| comment(file, &[2])).unwrap();
        let _ = write!(page, "\n## {package}\n\n{about}\n");
        for file in &files {
            file.services().for_each(|service| describe_service(&mut page, file, &service));
        }
        reason_table(&mut page, package);
        for file in &files {
            file.messages().for_each(|message| describe_message(&mut page, &message));
            file.enums().filter(|list| list.name() != "ErrorReason").for_each(|list| describe_enum(&mut page, &list));
        }
    }
    page
}

/// A table of all calls.
fn contents(page: &mut String, pool: &DescriptorPool) {
    page.push_str("\n| call | JSON over HTTP | |\n|---|---|---|\n");
    for package in PACKAGES {
        for service in pool.services().filter(|service| service.package_name() == package) {
            for method in service.methods() {
                let name = format!("{}.{}", service.name(), method.name());
                let about = comment(&service.parent_file(), method.path()).unwrap();
                let _ = writeln!(page, "| [{name}](#{}) | {} | {} |", anchor(&name), route(&method), cell(&about));
            }
        }
    }
    page.push_str("\nError reasons: ");
    let links = reason_domains().into_iter().map(|domain| {
        let heading = reason_heading(&domain);
        format!("[{domain}](#{})", anchor(&heading))
    });
    page.push_str(&links.collect::<Vec<_>>().join(", "));
    page.push_str(".\n");
}

fn describe_service(page: &mut String, file: &FileDescriptor, service: &ServiceDescriptor) {
    let _ = write!(page, "\n### {}\n\n{}\n", service.name(), comment(file, service.path()).unwrap());
    for method in service.methods() {
        let about = comment(file, method.path()).unwrap();
        let _ = write!(page, "\n#### {}.{}\n\n{about}\n\n", service.name(), method.name());
        let stream = |is_stream| if is_stream { "a stream of " } else { "" };
        let _ = writeln!(
            page,
            "{}: takes {}{}, returns {}{}.",
            route(&method),
            stream(method.is_client_streaming()),
            message_link(&method.input()),
            stream(method.is_server_streaming()),
            message_link(&method.output()),
        );
    }
}

/// The HTTP route of a call, as code.
fn route(method: &MethodDescriptor) -> String {
    let extension = method.parent_pool().get_extension_by_name("google.api.http").unwrap();
    let options = method.options();
    let rule = options.get_extension(&extension);
    let rule: &DynamicMessage = rule.as_message().unwrap();
    let verbs = ["get", "put", "post", "delete", "patch"];
    let found = verbs.iter().find_map(|verb| {
        let path = rule.get_field_by_name(verb)?;
        let path = path.as_str().filter(|path| !path.is_empty())?.to_owned();
        Some(format!("`{} {path}`", verb.to_uppercase()))
    });
    found.unwrap_or_else(|| "gRPC only".to_owned())
}

fn describe_message(page: &mut String, message: &MessageDescriptor) {
    let file = message.parent_file();
    let about = comment(&file, message.path()).unwrap_or_default();
    let _ = write!(page, "\n### {}\n\n{about}\n", message.name());
    if message.fields().len() > 0 {
        page.push_str("\n| field | type | meaning |\n|---|---|---|\n");
    }
    // In the order of the file.
    let mut fields: Vec<_> = message.fields().collect();
    fields.sort_by_key(|field| field.path().to_vec());
    for field in fields {
        let about = cell(&comment(&file, field.path()).unwrap_or_default());
        let of = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
        let of = of.map(|oneof| format!("one of `{}`: ", oneof.name())).unwrap_or_default();
        let _ = writeln!(page, "| `{}` | {of}{} | {about} |", field.name(), type_name(&field));
    }
    message.child_messages().filter(|child| !child.is_map_entry()).for_each(|child| describe_message(page, &child));
    message.child_enums().for_each(|list| describe_enum(page, &list));
}

fn describe_enum(page: &mut String, list: &EnumDescriptor) {
    let file = list.parent_file();
    let about = comment(&file, list.path()).unwrap_or_default();
    let _ = write!(page, "\n### {}\n\n{about}\n\n| value | meaning |\n|---|---|\n", list.name());
    for value in list.values() {
        let _ = writeln!(page, "| `{}` | {} |", value.name(), cell(&comment(&file, value.path()).unwrap_or_default()));
    }
}

fn reason_domains() -> Vec<String> {
    let mut domains: Vec<_> = reasons::all().unwrap().into_iter().map(|explanation| explanation.domain).collect();
    domains.dedup();
    domains
}

fn reason_heading(domain: &str) -> String {
    format!("Error reasons of {domain}")
}

fn reason_table(page: &mut String, domain: &str) {
    let explanations: Vec<_> = reasons::all().unwrap().into_iter().filter(|one| one.domain == domain).collect();
    if explanations.is_empty() {
        return;
    }
    let _ = write!(page, "\n### {}\n\n", reason_heading(domain));
    page.push_str("| reason | code | cause | what the client should do |\n|---|---|---|---|\n");
    for one in explanations {
        let _ = writeln!(
            page,
            "| `{}` | `{}` | {} | {} |",
            one.reason,
            one.code,
            cell(&one.cause),
            cell(&one.client_action)
        );
    }
}

fn type_name(field: &FieldDescriptor) -> String {
    let name = match field.kind() {
        Kind::Message(entry) if entry.is_map_entry() => {
            let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
            return format!("map of {} to {}", type_name(&key), type_name(&value));
        }
        Kind::Message(message) => message_link(&message),
        Kind::Enum(list) if list.package_name().starts_with("google.") => format!("`{}`", list.full_name()),
        Kind::Enum(list) if list.name() == "ErrorReason" => {
            format!("[ErrorReason](#{})", anchor(&reason_heading(list.package_name())))
        }
        Kind::Enum(list) => format!("[{}](#{})", list.name(), anchor(list.name())),
        kind => format!("{kind:?}"),
    };
    let presence = field.containing_oneof().is_some_and(|oneof| oneof.is_synthetic());
    match (field.is_list(), presence) {
        (true, _) => format!("repeated {name}"),
        (_, true) => format!("optional {name}"),
        _ => name,
    }
}

fn message_link(message: &MessageDescriptor) -> String {
    if message.package_name().starts_with("google.") {
        return format!("`{}`", message.full_name());
    }
    format!("[{}](#{})", message.name(), anchor(message.name()))
}

/// The comment above the element at this path of the file.
fn comment(file: &FileDescriptor, path: &[i32]) -> Option<String> {
    let info = file.file_descriptor_proto().source_code_info.as_ref()?;
    let location = info.location.iter().find(|location| location.path == path)?;
    let lines = location.leading_comments().lines().map(|line| line.strip_prefix(' ').unwrap_or(line).trim_end());
    let text = lines.collect::<Vec<_>>().join("\n").trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// A text as a cell of a table.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}
