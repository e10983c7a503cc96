//! The paths of the methods, from their `google.api.http` annotations.

use http::{Method, StatusCode, Uri};
use percent_encoding::percent_decode_str;
use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, MessageDescriptor, MethodDescriptor,
};
use tonic::Code;

use super::rejection::Rejection;

/// An annotation that is not supported, or an invalid descriptor set: an error of the build.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("JSON over HTTP: {0}")]
pub struct RouteError(String);

impl RouteError {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// A path of a method.
pub(super) struct Route {
    /// The gRPC method.
    pub(super) method: MethodDescriptor,
    /// The fields that come from the body.
    pub(super) body: BodyFields,
    http_method: Method,
    template: String,
    segments: Vec<Segment>,
    /// The verb after the last segment and a colon, as in `/v1/accounts/{account_id}:deposit`.
    verb: Option<String>,
    grpc_path: Uri,
}

/// The fields of the request message that come from the body of the HTTP request.
pub(super) enum BodyFields {
    /// None: fields that are not in the path are query parameters.
    None,
    /// All fields that are not in the path.
    All,
    /// This field.
    One(String),
}

/// Fields whose values are in the path, with those values, decoded.
pub(super) type PathFields<'r> = Vec<(&'r FieldDescriptor, String)>;

/// A part of a path between two slashes.
enum Segment {
    Literal(String),
    Field(FieldDescriptor),
}

/// The paths of all methods.
pub(super) struct Routes {
    routes: Vec<Route>,
    /// All methods with their paths, for the answer to a path without one.
    list: String,
}

impl Routes {
    /// The annotated methods of the services.
    pub(super) fn of_services(pool: &DescriptorPool, services: &[&str]) -> Result<Self, RouteError> {
        let mut routes = Vec::new();
        if let Some(annotation) = pool.get_extension_by_name("google.api.http") {
            let methods = pool.services().filter(|service| services.contains(&service.full_name()));
            for method in methods.flat_map(|service| service.methods().collect::<Vec<_>>()) {
                let options = method.options();
                if options.has_extension(&annotation) {
                    routes.push(Route::new(&method, &options, &annotation)?);
                }
            }
        }
        let list: Vec<_> = routes.iter().map(|route| format!("{} {}", route.http_method, route.template)).collect();
        Ok(Self { routes, list: list.join(", ") })
    }

    /// The routes, in the order of the proto files.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = &Route> {
        self.routes.iter()
    }

    /// The method for a path, and the fields whose values are in the path, decoded.
    pub(super) fn find(&self, method: &Method, path: &str) -> Result<(&Route, PathFields<'_>), Rejection> {
        let with_method = self.routes.iter().filter(|route| route.http_method == *method);
        for route in with_method {
            if let Some(fields) = route.fields(path) {
                return Ok((route, fields?));
            }
        }
        Err(Rejection {
            http: StatusCode::NOT_FOUND,
            code: Code::NotFound,
            message: format!("no method for {method} {path}; there are {}", self.list),
        })
    }
}

impl Route {
    fn new(
        method: &MethodDescriptor,
        options: &DynamicMessage,
        annotation: &ExtensionDescriptor,
    ) -> Result<Self, RouteError> {
        let invalid = |what: &str| RouteError::new(format!("google.api.http of {}: {what}", method.full_name()));
        if method.is_client_streaming() || method.is_server_streaming() {
            return Err(invalid("a stream cannot be served"));
        }
        let rule = options.get_extension(annotation);
        let rule = rule.as_message().ok_or_else(|| invalid("not a message"))?;
        if rule.has_field_by_name("additional_bindings") || rule.has_field_by_name("response_body") {
            return Err(invalid("additional_bindings and response_body are not supported"));
        }
        let (http_method, template) =
            pattern(rule).ok_or_else(|| invalid("one of get, put, post, delete, patch is needed"))?;
        let (path, verb) = split_verb(&template);
        let path = path.strip_prefix('/').ok_or_else(|| invalid("the path must begin with /"))?;
        let input = method.input();
        let segments = path.split('/').map(|text| segment(&input, text).map_err(invalid));
        let segments = segments.collect::<Result<Vec<_>, _>>()?;
        let body = match text(rule, "body").as_str() {
            "" => BodyFields::None,
            "*" => BodyFields::All,
            name => BodyFields::One(name.to_owned()),
        };
        let grpc_path = format!("/{}/{}", method.parent_service().full_name(), method.name());
        Ok(Self {
            method: method.clone(),
            body,
            http_method,
            segments,
            verb: verb.map(str::to_owned),
            grpc_path: grpc_path.parse().map_err(|_| invalid("its name is not a path"))?,
            template,
        })
    }

    /// The path of the method in gRPC.
    pub(super) fn grpc_path(&self) -> Uri {
        self.grpc_path.clone()
    }

    /// The fields in the path; `None` if the path belongs to another route.
    fn fields<'r>(&'r self, path: &str) -> Option<Result<PathFields<'r>, Rejection>> {
        let path = match &self.verb {
            Some(verb) => path.strip_suffix(verb.as_str())?.strip_suffix(':')?,
            None => path,
        };
        let values: Vec<_> = path.strip_prefix('/')?.split('/').collect();
        if values.len() != self.segments.len() {
            return None;
        }
        let mut fields = Vec::new();
        for (segment, value) in self.segments.iter().zip(values) {
            match segment {
                Segment::Literal(literal) if literal == value => {}
                Segment::Literal(_) => return None,
                Segment::Field(_) if value.is_empty() => return None,
                Segment::Field(field) => match percent_decode_str(value).decode_utf8() {
                    Ok(value) => fields.push((field, value.into_owned())),
                    Err(_) => return Some(Err(Rejection::invalid(format!("{}: {value} is not UTF-8", field.name())))),
                },
            }
        }
        Some(Ok(fields))
    }
}

fn pattern(rule: &DynamicMessage) -> Option<(Method, String)> {
    let methods = [
        ("get", Method::GET),
        ("put", Method::PUT),
        ("post", Method::POST),
        ("delete", Method::DELETE),
        ("patch", Method::PATCH),
    ];
    let set = methods.into_iter().find(|(name, _)| rule.has_field_by_name(name));
    set.map(|(name, method)| (method, text(rule, name)))
}

fn text(rule: &DynamicMessage, field: &str) -> String {
    rule.get_field_by_name(field).and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

fn split_verb(template: &str) -> (&str, Option<&str>) {
    match template.rsplit_once(':') {
        Some((path, verb)) if !verb.contains(['/', '}']) => (path, Some(verb)),
        _ => (template, None),
    }
}

/// Parses a part of a path; the error says what is not supported.
fn segment(input: &MessageDescriptor, text: &str) -> Result<Segment, &'static str> {
    const UNSUPPORTED: &str = "only literals and {field} are supported in the path";
    let Some(name) = text.strip_prefix('{') else {
        let is_literal = !text.contains(['{', '}', '*']);
        return if is_literal { Ok(Segment::Literal(text.to_owned())) } else { Err(UNSUPPORTED) };
    };
    let name = name.strip_suffix('}').ok_or(UNSUPPORTED)?;
    let name = name.strip_suffix("=*").unwrap_or(name);
    if name.contains(['{', '}', '*', '=', '.']) {
        return Err(UNSUPPORTED);
    }
    let field = input.get_field_by_name(name).ok_or("the path names a field that the request does not have")?;
    Ok(Segment::Field(field))
}
