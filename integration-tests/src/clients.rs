//! Clients in other languages, generated from the proto files and run as their users would; see `clients/README.md` of
//! this crate.

use std::{
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Proto files of the product, from which clients are generated.
const PROTOS: [&str; 6] = [
    "diptych/v1/consistency.proto",
    "diptych/v1/error_reason.proto",
    "diptych/v1/receipt.proto",
    "ledger/command/v1/command_service.proto",
    "ledger/event/v1/events.proto",
    "ledger/query/v1/query_service.proto",
];
/// Google's proto files that they import. Python needs these generated too; Go has them as modules.
const GOOGLE_PROTOS: [&str; 4] = [
    "google/api/annotations.proto",
    "google/api/http.proto",
    "google/rpc/error_details.proto",
    "google/rpc/status.proto",
];
const GO_PLUGINS: [&str; 2] =
    ["google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.11", "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.0"];
const BUF: &str = "buf-bin==1.75.0";

/// A client that is ready to run.
#[derive(Debug)]
pub struct Client {
    program: PathBuf,
    arguments: Vec<PathBuf>,
    python_path: Option<PathBuf>,
}

impl Client {
    /// Builds the client in Python, in a folder that is kept between runs; `None` if this machine has no Python.
    #[must_use]
    pub fn python() -> Option<Self> {
        let sources = sources("python");
        let folder = build_folder("python");
        let python = virtual_environment(
            &folder.join("venv"),
            &["--requirement".as_ref(), sources.join("requirements.txt").as_os_str()],
        )?;
        let generated = empty_folder(&folder.join("generated"));
        let mut generate = Command::new(&python);
        generate.args(["-m", "grpc_tools.protoc", "-I", ".", "-I", "third_party"]).current_dir(root().join("proto"));
        for kind in ["--python_out", "--grpc_python_out"] {
            generate.arg(kind).arg(&generated);
        }
        run(generate.args(PROTOS).args(GOOGLE_PROTOS));
        Some(Self { program: python, arguments: vec![sources.join("readme.py")], python_path: Some(generated) })
    }

    /// Builds the client in Go; `None` if this machine has no Go.
    #[must_use]
    pub fn go() -> Option<Self> {
        is_installed("go").then_some(())?;
        let folder = build_folder("go");
        let plugins = folder.join("bin");
        for plugin in GO_PLUGINS {
            run(Command::new("go").args(["install", plugin]).env("GOBIN", &plugins));
        }
        let python = virtual_environment(&folder.join("venv"), &[OsStr::new(BUF)])?;
        let module = empty_folder(&folder.join("module"));
        for file in ["main.go", "go.mod", "go.sum", "buf.gen.yaml"] {
            fs::copy(sources("go").join(file), module.join(file)).unwrap();
        }
        let protos = root().join("proto");
        let path = std::env::join_paths(
            std::iter::once(plugins).chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
        );
        let mut generate = Command::new(python.with_file_name("buf"));
        generate.arg("generate").arg(&protos).args(["--template", "buf.gen.yaml", "--output", "."]);
        for part in ["diptych", "ledger"] {
            generate.arg("--path").arg(protos.join(part));
        }
        run(generate.env("PATH", path.unwrap()).current_dir(&module));
        let program = module.join("readme");
        run(Command::new("go").args(["build", "-o"]).arg(&program).arg(".").current_dir(&module));
        Some(Self { program, arguments: Vec::new(), python_path: None })
    }

    /// Runs the README's example against an address, and returns the line of JSON that the client prints.
    ///
    /// # Panics
    /// If an answer was not as expected.
    #[must_use]
    pub fn run(&self, address: &str, token: Option<&str>) -> String {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        if let Some(token) = token {
            command.arg(format!("--token={token}"));
        }
        if let Some(path) = &self.python_path {
            command.env("PYTHONPATH", path);
        }
        run(command.arg(address))
    }
}

/// Returns whether a program is installed. In CI it must be.
fn is_installed(program: &str) -> bool {
    let found = Command::new(program).arg("--help").output().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "{program} must be installed in CI");
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

/// Creates a Python environment with packages, once; returns the path of its `python`.
fn virtual_environment(folder: &Path, packages: &[&OsStr]) -> Option<PathBuf> {
    is_installed("python3").then_some(())?;
    let python = folder.join("bin/python");
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder));
    }
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(packages));
    Some(python)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(language)
}

/// Folder for generated files, kept between runs.
fn build_folder(language: &str) -> PathBuf {
    let folder = root().join("target/clients").join(language);
    fs::create_dir_all(&folder).unwrap();
    folder.canonicalize().unwrap()
}

fn empty_folder(folder: &Path) -> PathBuf {
    if folder.exists() {
        fs::remove_dir_all(folder).unwrap();
    }
    fs::create_dir_all(folder).unwrap();
    folder.to_owned()
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?} ended with {}: {out} {err}", output.status);
    out
}
