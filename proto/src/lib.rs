//! The API of Diptych: code generated from every file under `proto/`, and the descriptor set of all of them.
//!
//! Only [`Encoded`] is written by hand: it lets a service send stored messages without decoding them.

mod encoded;

pub use encoded::Encoded;

/// Declares a module with the generated code of a package.
macro_rules! generated {
    ($(#[$doc:meta])* $module:ident = $file:literal) => {
        $(#[$doc])*
        #[allow(
            missing_docs,
            clippy::all,
            clippy::allow_attributes_without_reason,
            unreachable_pub,
            unused_qualifications,
            rustdoc::all,
            reason = "generated code"
        )]
        pub mod $module {
            include!(concat!(env!("OUT_DIR"), $file));
        }
    };
}

/// All proto files with comments and HTTP annotations, as an encoded `google.protobuf.FileDescriptorSet`, for gRPC
/// reflection and JSON transcoding.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor_set.bin"));

/// Types shared by every domain.
pub mod diptych {
    generated! {
        /// Receipts, consistency tokens, error reasons.
        v1 = "/diptych.v1.rs"
    }
}

/// Messages of Google's APIs that the API uses.
pub mod google {
    generated! {
        /// The standard error model: `Status` and its details.
        rpc = "/google.rpc.rs"
    }
}

/// The ledger, the domain that ships with Diptych.
pub mod ledger {
    /// The write side.
    pub mod command {
        generated! {
            /// Commands and their service.
            v1 = "/ledger.command.v1.rs"
        }
    }
    /// Stored messages.
    pub mod event {
        generated! {
            /// Events and snapshots.
            v1 = "/ledger.event.v1.rs"
        }
    }
    /// The read side.
    pub mod query {
        generated! {
            /// Queries and their service, for clients.
            v1 = "/ledger.query.v1.rs"
        }
        generated! {
            /// The same service, for its server: responses hold stored messages as [`crate::Encoded`] bytes. The wire
            /// format is the same.
            v1_encoded = "/encoded/ledger.query.v1.rs"
        }
    }
}
