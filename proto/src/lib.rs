//! The contract of Diptych: the generated code of every file under `proto/`, and the descriptor set of all of them.
//!
//! Nothing here is written by hand but [`Encoded`], which lets a service send stored messages without parsing them.

mod encoded;

pub use encoded::Encoded;

/// All proto files with comments and HTTP annotations, as an encoded `google.protobuf.FileDescriptorSet`: what reflection serves and
/// what a JSON transcoder needs.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor_set.bin"));

/// What every domain shares.
pub mod diptych {
    /// Receipts, consistency tokens, error reasons.
    #[allow(
        missing_docs,
        clippy::all,
        clippy::allow_attributes_without_reason,
        unreachable_pub,
        unused_qualifications,
        reason = "generated code"
    )]
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/diptych.v1.rs"));
    }
}

/// Messages of google's APIs that the contract uses.
pub mod google {
    /// Standard error details.
    #[allow(
        missing_docs,
        clippy::all,
        clippy::allow_attributes_without_reason,
        unreachable_pub,
        unused_qualifications,
        rustdoc::all,
        reason = "generated code"
    )]
    pub mod rpc {
        include!(concat!(env!("OUT_DIR"), "/google.rpc.rs"));
    }
}

/// The first domain.
pub mod ledger {
    /// The write side.
    pub mod command {
        /// Commands and their service.
        #[allow(
            missing_docs,
            clippy::all,
            clippy::allow_attributes_without_reason,
            unreachable_pub,
            unused_qualifications,
            reason = "generated code"
        )]
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/ledger.command.v1.rs"));
        }
    }
    /// What is stored.
    pub mod event {
        /// Events and the snapshot.
        #[allow(
            missing_docs,
            clippy::all,
            clippy::allow_attributes_without_reason,
            unreachable_pub,
            unused_qualifications,
            reason = "generated code"
        )]
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/ledger.event.v1.rs"));
        }
    }
    /// The read side.
    pub mod query {
        /// Queries and their service, as clients use them.
        #[allow(
            missing_docs,
            clippy::all,
            clippy::allow_attributes_without_reason,
            unreachable_pub,
            unused_qualifications,
            reason = "generated code"
        )]
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/ledger.query.v1.rs"));
        }
        /// The same service for its server: stored messages stand in answers as [`crate::Encoded`] bytes. The wire format is the same.
        #[allow(
            missing_docs,
            clippy::all,
            clippy::allow_attributes_without_reason,
            unreachable_pub,
            unused_qualifications,
            reason = "generated code"
        )]
        pub mod v1_encoded {
            include!(concat!(env!("OUT_DIR"), "/encoded/ledger.query.v1.rs"));
        }
    }
}
