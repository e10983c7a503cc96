//! The paths of the methods, from their `google.api.http` annotations.

use std::collections::BTreeSet;

use diptych_proto::diptych::v1::ErrorReason as Reason;
use http::{Method, Uri};
use percent_encoding::percent_decode_str;
use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, MessageDescriptor, MethodDescriptor,
};
use strsim::damerau_levenshtein;

use super::rejection::Rejection;

/// The largest number of routes that the answer to an unknown path names.
const ROUTES_SUGGESTED_MAX: usize = 4;

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
        Ok(Self { routes })
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
        Err(Rejection::unknown_path(format!("no such path or method: {method} {path}; {}", self.hint(method, path))))
    }

    /// The routes nearest to a path that has none: those with the most leading segments in common, of them the ones
    /// with the fewest edits.
    fn hint(&self, method: &Method, path: &str) -> String {
        if path == "/metrics" {
            return "metrics are at the metrics address (setting metrics_listen)".to_owned();
        }
        let common_max = self.routes.iter().map(|route| route.segments_in_common(path)).max().unwrap_or_default();
        if common_max == 0 {
            let roots: BTreeSet<_> = self.routes.iter().filter_map(Route::root).collect();
            let roots: Vec<_> = roots.into_iter().map(|root| format!("/{root}/")).collect();
            return format!("all paths begin with {}; docs/API.md lists them", roots.join(" or "));
        }
        let mut nearest: Vec<_> =
            self.routes.iter().filter(|route| route.segments_in_common(path) == common_max).collect();
        nearest.sort_by_cached_key(|route| damerau_levenshtein(&format!("{method} {path}"), &route.filled_from(path)));
        let nearest = nearest.iter().take(ROUTES_SUGGESTED_MAX);
        let nearest: Vec<_> = nearest.map(|route| format!("{} {}", route.http_method, route.template)).collect();
        format!("the nearest are {}", nearest.join(", "))
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

    /// The first segment of the path.
    fn root(&self) -> Option<&str> {
        match self.segments.first() {
            Some(Segment::Literal(literal)) => Some(literal),
            _ => None,
        }
    }

    /// The number of leading segments that the path has in common with this route. A verb does not count.
    fn segments_in_common(&self, path: &str) -> usize {
        let values = path.trim_start_matches('/').split('/').map(without_verb);
        let fits = |(segment, value): &(&Segment, &str)| match segment {
            Segment::Literal(literal) => literal == value,
            Segment::Field(_) => !value.is_empty(),
        };
        self.segments.iter().zip(values).take_while(fits).count()
    }

    /// The method and path of this route, with the values of the given path in the place of its fields.
    fn filled_from(&self, path: &str) -> String {
        let mut values = path.trim_start_matches('/').split('/').map(without_verb);
        let mut text = format!("{} ", self.http_method);
        for segment in &self.segments {
            let value = values.next().unwrap_or_default();
            text.push('/');
            text.push_str(if let Segment::Literal(literal) = segment { literal } else { value });
        }
        if let Some(verb) = &self.verb {
            text.push(':');
            text.push_str(verb);
        }
        text
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
                    Err(_) => {
                        let message = format!("{}: {value} is not UTF-8", field.name());
                        return Some(Err(Rejection::field(Reason::FieldMalformed, field.name(), message)));
                    }
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

fn without_verb(segment: &str) -> &str {
    segment.rsplit_once(':').map_or(segment, |(value, _)| value)
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
