//! Server reflection, for grpcurl and similar clients.
//!
//! A process that serves one service of the product lists all of them, also those of other processes. A gateway has one
//! address for all services, but sends a reflection request to one process: `grpcurl list` at the gateway must list all
//! that can be called there. Whether a process serves a service itself is reported by health, under the name of the
//! service.

use std::collections::BTreeSet;

use diptych_proto::DESCRIPTOR_SET;
use prost_reflect::DescriptorPool;
use tonic::service::RoutesBuilder;
use tonic_health::pb::FILE_DESCRIPTOR_SET as HEALTH;
use tonic_reflection::{
    pb::{v1, v1alpha},
    server::{Builder, Error},
};

/// Both versions of the protocol: v1, and v1alpha, the only one that grpcurl 1.8 supports.
pub(super) const SERVICES: [&str; 2] =
    ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];

/// The proto files of all services.
pub(super) const DESCRIPTOR_SETS: [&[u8]; 4] =
    [DESCRIPTOR_SET, HEALTH, v1::FILE_DESCRIPTOR_SET, v1alpha::FILE_DESCRIPTOR_SET];

/// Adds both versions. Each lists the services of this server and, if one of them is of the product, all services of
/// the product.
pub(super) fn add_services(routes: &mut RoutesBuilder, served: &[&'static str]) -> Result<(), Error> {
    let listed = listed(served);
    let describe = || {
        let builder = Builder::configure().include_reflection_service(false);
        let builder = DESCRIPTOR_SETS.into_iter().fold(builder, Builder::register_encoded_file_descriptor_set);
        listed.iter().cloned().fold(builder, Builder::with_service_name)
    };
    routes.add_service(describe().build_v1()?);
    routes.add_service(describe().build_v1alpha()?);
    Ok(())
}

fn listed(served: &[&str]) -> BTreeSet<String> {
    let mut listed: BTreeSet<_> = served.iter().map(|name| (*name).to_owned()).collect();
    // If a set cannot be read, the builder returns the error.
    let product = DescriptorPool::decode(DESCRIPTOR_SET).unwrap_or_default();
    let product: Vec<_> = product.services().map(|service| service.full_name().to_owned()).collect();
    if product.iter().any(|name| listed.contains(name)) {
        listed.extend(product);
    }
    listed
}
