//! Reflection: what is mounted describes itself, to grpcurl and every other client that asks.
//!
//! Whoever serves one service of the product names all of them, also those that other processes serve. A gateway has one address for all,
//! and can send the question only to one process: `grpcurl list` there must name what can be called there. Whether a process serves a
//! service itself is what health says, by the service's name.

use std::collections::BTreeSet;

use diptych_proto::DESCRIPTOR_SET;
use prost_reflect::DescriptorPool;
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

/// Mounts both versions; each lists the services that are `mounted`, and where one of the product's is, the others too.
pub(super) fn mount(routes: &mut RoutesBuilder, mounted: &[&'static str]) -> Result<(), Error> {
    let listed = listed(mounted);
    let describe = || {
        let builder = Builder::configure().include_reflection_service(false);
        let builder = DESCRIPTOR_SETS.into_iter().fold(builder, Builder::register_encoded_file_descriptor_set);
        listed.iter().cloned().fold(builder, Builder::with_service_name)
    };
    routes.add_service(describe().build_v1()?);
    routes.add_service(describe().build_v1alpha()?);
    Ok(())
}

fn listed(mounted: &[&str]) -> BTreeSet<String> {
    let mut listed: BTreeSet<_> = mounted.iter().map(|name| (*name).to_owned()).collect();
    // A set that cannot be read is refused by the builder.
    let product = DescriptorPool::decode(DESCRIPTOR_SET).unwrap_or_default();
    let product: Vec<_> = product.services().map(|service| service.full_name().to_owned()).collect();
    if product.iter().any(|name| listed.contains(name)) {
        listed.extend(product);
    }
    listed
}
