//! Reflection: what is mounted describes itself, to grpcurl and every other client that asks.

use diptych_proto::DESCRIPTOR_SET;
use tonic::service::RoutesBuilder;
use tonic_health::pb::FILE_DESCRIPTOR_SET as HEALTH;
use tonic_reflection::{
    pb::{v1, v1alpha},
    server::{Builder, Error},
};

/// Both versions of the protocol: v1, and v1alpha, the only one that grpcurl 1.8 speaks.
pub(super) const SERVICES: [&str; 2] =
    ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

/// The proto files of everything that can be mounted.
pub(super) const DESCRIPTOR_SETS: [&[u8]; 4] =
    [DESCRIPTOR_SET, HEALTH, v1::FILE_DESCRIPTOR_SET, v1alpha::FILE_DESCRIPTOR_SET];

/// Mounts both versions; each lists `services`.
pub(super) fn mount(routes: &mut RoutesBuilder, services: &[&'static str]) -> Result<(), Error> {
    let describe = || {
        let builder = Builder::configure().include_reflection_service(false);
        let builder = DESCRIPTOR_SETS.into_iter().fold(builder, Builder::register_encoded_file_descriptor_set);
        services.iter().copied().fold(builder, Builder::with_service_name)
    };
    routes.add_service(describe().build_v1()?);
    routes.add_service(describe().build_v1alpha()?);
    Ok(())
}
