//! Compiles the proto files with protox, which needs no protoc, and writes the descriptor set with comments and HTTP
//! annotations.

use std::{env, error::Error, fs, path::PathBuf};

const FILES: [&str; 8] = [
    "diptych/v1/consistency.proto",
    "diptych/v1/error_reason.proto",
    "diptych/v1/receipt.proto",
    "ledger/command/v1/command_service.proto",
    "ledger/event/v1/events.proto",
    "ledger/query/v1/query_service.proto",
    // Not imported by any file above, but sent in every error: included for reflection.
    "third_party/google/rpc/error_details.proto",
    "third_party/google/rpc/status.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    for path in ["diptych", "ledger", "third_party"] {
        println!("cargo:rerun-if-changed={path}");
    }
    let mut compiler = protox::Compiler::new(["third_party", "."])?;
    compiler.include_imports(true).include_source_info(true).open_files(FILES)?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptor_set.bin"), compiler.encode_file_descriptor_set())?;

    tonic_prost_build::configure().compile_fds(compiler.file_descriptor_set())?;

    // The query service again, with the messages that views store replaced by their encoded bytes (see src/encoded.rs).
    let encoded = out.join("encoded");
    fs::create_dir_all(&encoded)?;
    tonic_prost_build::configure()
        .build_client(false)
        .out_dir(encoded)
        .extern_path(".diptych.v1", "crate::diptych::v1")
        .extern_path(".ledger.query.v1.Account", "crate::Encoded<crate::ledger::query::v1::Account>")
        .extern_path(".ledger.query.v1.Entry", "crate::Encoded<crate::ledger::query::v1::Entry>")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
