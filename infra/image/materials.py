#!/usr/bin/env python3
"""What the program consists of: an SPDX 2.3 document and a file with every licence text.

    materials.py TARGET OUTPUT_FOLDER

Writes OUTPUT_FOLDER/diptych.spdx.json and OUTPUT_FOLDER/THIRD-PARTY.txt for the program that `compile` makes: the crates
that are linked into it, the C libraries that crates carry, and the parts of the compiler's machine that a static
program contains (glibc, libgcc, Rust's standard library). Needs cargo, and the crates of Cargo.lock as cargo fetched
them. The output depends on Cargo.lock, the target, the versions of the compiler's machine and SOURCE_DATE_EPOCH, and on
nothing else.
"""

import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import tomllib
import uuid

from components import Component, native_components, texts_of

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = "diptych"


def cargo(*arguments):
    """The output of a cargo command in the workspace."""
    return subprocess.run(["cargo", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def linked(target):
    """(name, version) of every crate in the program: no build scripts, macros and tests."""
    tree = cargo("tree", "--locked", "--package", PROGRAM, "--edges", "normal,no-proc-macro", "--target", target,
                 "--prefix", "none", "--format", "{p}")
    return {(line.split()[0], line.split()[1].removeprefix("v")) for line in tree.splitlines() if line.strip()}


def crates(target):
    """Components of the linked crates, and for each the ids of those that it depends on."""
    metadata = json.loads(cargo("metadata", "--locked", "--format-version", "1", "--filter-platform", target))
    locked = {(package["name"], package["version"]): package.get("checksum")
              for package in tomllib.loads((ROOT / "Cargo.lock").read_text())["package"]}
    in_program = linked(target)
    packages = {package["id"]: package for package in metadata["packages"]
                if (package["name"], package["version"]) in in_program}
    # A crate without licence files has those of a sibling from the same repository, if there is one.
    siblings = {}
    for package in sorted(metadata["packages"], key=lambda package: package["name"]):
        texts = texts_of(pathlib.Path(package["manifest_path"]).parent)
        if texts and package["repository"] and package["source"]:
            siblings.setdefault(package["repository"], texts)
    components = {}
    for identity, package in packages.items():
        name, version = package["name"], package["version"]
        texts = texts_of(pathlib.Path(package["manifest_path"]).parent) if package["source"] else {}
        components[identity] = Component(
            name=name,
            version=version,
            licence=re.sub(r"\s*/\s*", " OR ", package["license"] or "NOASSERTION"),
            supplier=", ".join(package["authors"]),
            purl=f"pkg:cargo/{name}@{version.replace('+', '%2B')}" if package["source"] else None,
            sha256=locked[(name, version)],
            texts=texts or siblings.get(package["repository"], {}) if package["source"] else {},
            folder=pathlib.Path(package["manifest_path"]).parent,
            is_ours=not package["source"],
        )
    edges = {(node["id"], dependency["pkg"]) for node in metadata["resolve"]["nodes"] if node["id"] in packages
             for dependency in node["deps"] if dependency["pkg"] in packages
             and any(kind["kind"] is None for kind in dependency["dep_kinds"])}
    return components, edges


def spdx_id(component):
    """An identifier that SPDX allows, unique for name and version."""
    return "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", f"{component.kind}-{component.name}-{component.version}")


def spdx_package(component):
    """The component as SPDX has it."""
    package = {
        "SPDXID": spdx_id(component),
        "name": component.name,
        "versionInfo": component.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": component.licence,
        "copyrightText": "NOASSERTION",
        "primaryPackagePurpose": "APPLICATION" if component.name == PROGRAM else "LIBRARY",
    }
    if component.supplier:
        package["originator"] = f"Organization: {component.supplier}"
    if component.sha256:
        package["checksums"] = [{"algorithm": "SHA256", "checksumValue": component.sha256}]
    if component.purl:
        package["externalRefs"] = [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                                    "referenceLocator": component.purl}]
    return package


def spdx(target, components, edges, native):
    """The SPDX document."""
    program = next(component for component in components.values() if component.name == PROGRAM)
    relations = [("SPDXRef-DOCUMENT", "DESCRIBES", spdx_id(program))]
    relations += [(spdx_id(components[user]), "DEPENDS_ON", spdx_id(components[used])) for user, used in edges]
    by_name = {component.name: component for component in components.values()}
    relations += [(spdx_id(by_name[component.linked_by]), "STATIC_LINK", spdx_id(component)) for component in native]
    packages = sorted(map(spdx_package, [*components.values(), *native]), key=lambda package: package["SPDXID"])
    # The same content has the same name for ever, and other content another.
    content = json.dumps([packages, sorted(relations)], sort_keys=True)
    created = datetime.datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), datetime.timezone.utc)
    name = f"{PROGRAM}-{program.version}-{target}"
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": name,
        "documentNamespace": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name + content)}",
        "creationInfo": {"created": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
                         "creators": ["Tool: diptych-infra-image-materials"]},
        "packages": packages,
        "relationships": [{"spdxElementId": user, "relationshipType": kind, "relatedSpdxElement": used}
                          for user, kind, used in sorted(relations)],
    }


def third_party(components):
    """Every component with its licence, then every text once, with the components that it belongs to."""
    components = sorted(components, key=lambda component: (component.name.lower(), component.version))
    lines = ["Diptych contains the software below. Diptych itself is under the Apache License 2.0 (LICENSE).", ""]
    lines += [f"{component.name} {component.version}: {component.licence}" for component in components]
    users = {}
    for component in components:
        for text in component.licence_texts():
            users.setdefault(text, []).append(f"{component.name} {component.version}")
    for text, names in sorted(users.items(), key=lambda item: (item[1], item[0])):
        lines += ["", "=" * 100, ", ".join(dict.fromkeys(names)), "=" * 100, "", text]
    return "\n".join(lines) + "\n"


def main(target, folder):
    """Writes both files."""
    components, edges = crates(target)
    native = native_components(target, components.values())
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    document = spdx(target, components, edges, native)
    (folder / f"{PROGRAM}.spdx.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    others = [component for component in components.values() if not component.is_ours]
    (folder / "THIRD-PARTY.txt").write_text(third_party([*others, *native]))


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: materials.py TARGET OUTPUT_FOLDER")
    main(sys.argv[1], sys.argv[2])
