#!/usr/bin/env python3
"""Writes an in-toto statement with SLSA provenance (v1) about the files of a release.

    provenance.py FOLDER > FOLDER/provenance.intoto.json

It is not signed: who publishes the release signs it, and SHA256SUMS, with a key of their own.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# Made after the statement, or the statement itself.
NOT_SUBJECTS = {"SHA256SUMS", "provenance.intoto.json"}
# The files that decide what is built.
MATERIALS = ["Cargo.lock", "rust-toolchain.toml", "infra/image/compile", "infra/image/rootfs", "infra/image/Dockerfile"]


def output(*command):
    """The standard output of a command in the repository."""
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


def sha256(path):
    """The digest of a file, as in-toto has it."""
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}


def compilers():
    """Versions of the programs that compile."""
    rustc = dict(line.split(": ", 1) for line in output("rustc", "-vV").splitlines() if ": " in line)
    return {"rustc": f"{rustc['release']} {rustc['commit-hash']}", "gcc": output("gcc", "-dumpfullversion"),
            "glibc": output("ldd", "--version").splitlines()[0].rsplit(" ", 1)[-1]}


def statement(folder):
    """The statement about all files of a folder."""
    commit = output("git", "rev-parse", "HEAD")
    is_changed = bool(output("git", "status", "--porcelain", "--untracked-files=no"))
    source = os.environ.get("SOURCE_URI", "urn:diptych:source")
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.name not in NOT_SUBJECTS)
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": str(file.relative_to(folder)), "digest": sha256(file)} for file in files],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": "urn:diptych:infra/image/release:v1",
                "externalParameters": {"source": {"uri": source, "digest": {"gitCommit": commit}},
                                       "changedSinceCommit": is_changed},
                "internalParameters": {"SOURCE_DATE_EPOCH": epoch, "compilers": compilers()},
                "resolvedDependencies": [
                    {"uri": source, "digest": {"gitCommit": commit}},
                    *({"name": name, "digest": sha256(ROOT / name)} for name in MATERIALS),
                ],
            },
            # Who built it: a pipeline sets its own address. No times, so that the same build gives the same statement.
            "runDetails": {"builder": {"id": os.environ.get("BUILDER_ID", "urn:diptych:builder:local")}},
        },
    }


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: provenance.py FOLDER")
    print(json.dumps(statement(pathlib.Path(sys.argv[1]).resolve()), indent=1, sort_keys=True))
