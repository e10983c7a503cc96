//! A client of the reflection service.

use futures::stream;
use tonic_reflection::pb::{v1, v1alpha};

use super::TestServer;

/// Sends one request by a version of the protocol and evaluates to the response. Both versions have the same names.
macro_rules! request {
    ($version:ident, $server:expr, $request:ident($text:expr)) => {{
        use $version::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let message_request = MessageRequest::$request($text.to_owned());
        let request = ServerReflectionRequest { message_request: Some(message_request), ..Default::default() };
        let mut client = ServerReflectionClient::new($server.channel.clone());
        let answers = client.server_reflection_info(stream::iter([request])).await;
        let answer = match answers {
            Ok(answers) => answers.into_inner().message().await,
            Err(status) => Err(status),
        };
        match answer.ok().flatten().and_then(|answer| answer.message_response) {
            Some(MessageResponse::ListServicesResponse(list)) => list.service.into_iter().map(|one| one.name).collect(),
            Some(MessageResponse::FileDescriptorResponse(files)) => {
                vec![format!("{} files", files.file_descriptor_proto.len())]
            }
            _ => Vec::new(),
        }
    }};
}

impl TestServer {
    /// The services that reflection lists.
    pub(super) async fn services(&self, version: &str) -> Vec<String> {
        if version.contains("alpha") {
            request!(v1alpha, self, ListServices(""))
        } else {
            request!(v1, self, ListServices(""))
        }
    }

    /// Returns whether reflection has the file that describes this symbol.
    pub(super) async fn describes(&self, version: &str, symbol: &str) -> bool {
        let files: Vec<String> = if version.contains("alpha") {
            request!(v1alpha, self, FileContainingSymbol(symbol))
        } else {
            request!(v1, self, FileContainingSymbol(symbol))
        };
        !files.is_empty()
    }
}
