//! What reflection answers.

use futures::stream;
use tonic_reflection::pb::{v1, v1alpha};

use super::Running;

/// Asks one question by a version of the protocol, which both have under the same names; an expression of the answer.
macro_rules! ask {
    ($version:ident, $running:expr, $question:ident($text:expr)) => {{
        use $version::{
            ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
            server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
        };
        let question = MessageRequest::$question($text.to_owned());
        let request = ServerReflectionRequest { message_request: Some(question), ..Default::default() };
        let mut client = ServerReflectionClient::new($running.channel.clone());
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

impl Running {
    /// The services that reflection lists.
    pub(super) async fn services(&self, version: &str) -> Vec<String> {
        if version.contains("alpha") { ask!(v1alpha, self, ListServices("")) } else { ask!(v1, self, ListServices("")) }
    }

    /// Whether reflection has the file that describes this.
    pub(super) async fn describes(&self, version: &str, symbol: &str) -> bool {
        let files: Vec<String> = if version.contains("alpha") {
            ask!(v1alpha, self, FileContainingSymbol(symbol))
        } else {
            ask!(v1, self, FileContainingSymbol(symbol))
        };
        !files.is_empty()
    }
}
