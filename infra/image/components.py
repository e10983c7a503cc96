"""Components of the program, and their licence texts."""

import dataclasses
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LICENCE_FILES = ("LICEN", "COPYING", "NOTICE", "UNLICENSE", "COPYRIGHT")
# The MIT licence, for crates that declare it and carry no text.
MIT = """Copyright (c) {authors}

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE."""
SQLITE = "The authors of SQLite disclaim copyright to its source code. It is in the public domain."
GLIBC = """The GNU C Library is linked statically into this program, under the GNU Lesser General Public License,
version 2.1 or later. Whoever has this program may relink it with a changed glibc: its source and the script that builds
it (infra/image/compile) are published with it, and the source of this version of glibc is that of the Debian package
named above."""
LIBGCC = """The runtime library of GCC (unwinding) is under the GPL, version 3 or later, with the GCC Runtime Library
Exception, version 3.1, which lets a program that contains it be under any licence."""


@dataclasses.dataclass
class Component:
    """A piece of software in the program."""
    name: str
    version: str
    licence: str
    supplier: str = ""
    purl: str | None = None
    sha256: str | None = None
    # Texts by the name of their file.
    texts: dict = dataclasses.field(default_factory=dict)
    folder: pathlib.Path | None = None
    is_ours: bool = False
    kind: str = "crate"
    # For a library that is no crate: the crate that links it.
    linked_by: str = "diptych"

    def licence_texts(self):
        """The texts that must go with the program. Ours where the crate carries none."""
        if self.texts:
            return list(self.texts.values())
        if "Apache-2.0" in self.licence:
            return [normalized((ROOT / "LICENSE").read_text())]
        if self.licence == "MIT":
            return [MIT.format(authors=self.supplier or f"the authors of {self.name}")]
        sys.exit(f"materials.py: {self.name} {self.version} ({self.licence}) carries no licence text: add it here")


def normalized(text):
    """The text without differences in white space at the ends of lines, so that equal texts are one."""
    return "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").strip().split("\n"))


def texts_of(folder):
    """Licence files at the top of a folder."""
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and file.name.upper().startswith(LICENCE_FILES)]
    return {file.name: normalized(file.read_text(errors="replace")) for file in files}


def found(pattern, file):
    """The first group of a pattern in a file."""
    return re.search(pattern, file.read_text(errors="replace")).group(1)


def debian(package):
    """Version and copyright file of a Debian package, the one that is installed."""
    query = subprocess.run(["dpkg-query", "--show", "--showformat", "${Version}", package], capture_output=True, text=True)
    copyright_file = pathlib.Path("/usr/share/doc", package.split(":")[0], "copyright")
    if query.returncode or not copyright_file.exists():
        sys.exit(f"materials.py: the Debian package {package} with its copyright file is needed: build on Debian, with the "
                 "packages that README.md names")
    return query.stdout, normalized(copyright_file.read_text())


def debian_purl(package, version):
    """The package URL of a Debian package."""
    return f"pkg:deb/debian/{package}@{version.replace('+', '%2B')}"


def native_components(target, crates):
    """What is linked and is no crate."""
    carriers = {crate.name: crate for crate in crates}
    native = []

    def add(**fields):
        native.append(Component(kind="library", **fields))

    if carrier := carriers.get("rdkafka-sys"):
        folder = carrier.folder / "librdkafka"
        add(name="librdkafka", version=carrier.version.partition("+")[2], licence="BSD-2-Clause",
            supplier="Magnus Edenhill, Confluent Inc.", linked_by="rdkafka-sys",
            texts={"LICENSES.txt": normalized((folder / "LICENSES.txt").read_text(errors="replace"))})
    if carrier := carriers.get("libsqlite3-sys"):
        version = found(r'#define SQLITE_VERSION\s+"([^"]+)"', carrier.folder / "sqlite3" / "sqlite3.h")
        add(name="sqlite", version=version, licence="blessing", supplier="SQLite", linked_by="libsqlite3-sys",
            texts={"LICENSE": SQLITE})
    if carrier := carriers.get("libz-sys"):
        folder = carrier.folder / "src" / "zlib"
        version = found(r'#define ZLIB_VERSION\s+"([^"]+)"', folder / "zlib.h")
        add(name="zlib", version=version, licence="Zlib", supplier="Jean-loup Gailly and Mark Adler",
            linked_by="libz-sys", texts=texts_of(folder))

    machine = target.partition("-")[0]
    host = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    is_cross = f"host: {target}" not in host
    compiler = f"{machine}-linux-gnu-gcc" if is_cross else "gcc"
    gcc = subprocess.run([compiler, "-dumpversion"], check=True, capture_output=True, text=True).stdout.strip()
    # Libraries of another machine have packages of their own.
    suffix = {"aarch64": "-arm64-cross", "x86_64": "-amd64-cross"}[machine] if is_cross else ""
    version, text = debian(f"libc6-dev{suffix}")
    lesser = normalized(pathlib.Path("/usr/share/common-licenses/LGPL-2.1").read_text())
    add(name="glibc", version=version, licence="LGPL-2.1-or-later", supplier="The GNU C Library",
        purl=debian_purl(f"libc6-dev{suffix}", version), texts={"notice": GLIBC, "copyright": text, "LGPL-2.1": lesser})
    version, _ = debian(f"libgcc-{gcc}-dev{suffix}")
    add(name="libgcc", version=version, licence="GPL-3.0-or-later WITH GCC-exception-3.1",
        supplier="Free Software Foundation", purl=debian_purl(f"libgcc-{gcc}-dev{suffix}", version),
        texts={"notice": LIBGCC})
    release = re.search(r"^release: (\S+)", host, re.MULTILINE).group(1)
    add(name="rust-standard-library", version=release, licence="MIT OR Apache-2.0", supplier="The Rust Project Developers")
    return sorted(native, key=lambda component: component.name)
