#!/usr/bin/env python3
"""Checks the chart without a cluster. In CI, and after each change:

    python3 -m venv target/chart-tools
    target/chart-tools/bin/pip install helm-python-sdk==0.2.2 kubernetes-validate==1.37.0 pyyaml==6.0.4
    target/chart-tools/bin/python helm/diptych/ci/check.py

Exit status 0: all right. `--update` writes ci/golden; look at the difference. `--definitions FOLDER` checks custom
resources too, by the CustomResourceDefinitions in the YAML files of that folder. `--program FILE` loads every settings
file with that diptych; with `--envoy FILE` too, every configuration of Envoy is validated, and the chart's test is run on
this machine, through both Envoys, with the token that the chart made.

For each `ci/*-values.yaml` and `examples/values-*.yaml`: schema, rendering, golden file, objects against the schemas of
the oldest and the newest Kubernetes, and what `rules.py` demands. Values of `ci/refused.yaml` must be refused with their
message.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import helm_python
import yaml

sys.dont_write_bytecode = True
import custom_resources  # noqa: E402
import programs  # noqa: E402
import rules  # noqa: E402

CHART = pathlib.Path(__file__).resolve().parent.parent
ROOT = CHART.parent.parent
GOLDEN = CHART / "ci/golden"
VERSIONS = ["1.30", "1.37"]
# Cases whose golden file has the whole configuration of Envoy, in place of its checksum.
WITH_ENVOY = {"embedded", "embedded-options"}

# For cases whose keys are not in the release; Envoy wants one key at least.
OTHER_KEY_SET = b'{"keys": [{"kty": "oct", "alg": "HS256", "kid": "none", "k": "AAAA"}]}'

problems = []


def option(name):
    """The value after an option, or None."""
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else None


def report(problem):
    problems.append(problem)
    print(f"FAILED {problem}")


def cases():
    """Name and values of each case."""
    for path in sorted([*CHART.glob("ci/*-values.yaml"), *CHART.glob("examples/values-*.yaml")]):
        yield path.stem.removesuffix("-values"), yaml.safe_load(path.read_text()) or {}


def rendered(chart, values):
    """Rendered templates by path, without those that are empty."""
    texts = chart.render(values, name="demo", namespace="prod", revision=1)
    return {path: text for path, text in sorted(texts.items()) if text.strip()}


def objects(texts):
    """Objects of all templates."""
    return [each for path, text in texts.items() if path.endswith(".yaml") for each in yaml.safe_load_all(text) if each]


def checksum(match):
    """The first group of a match, and a checksum in place of the second."""
    return f"{match[1]}    (sha256 {hashlib.sha256(match[2].encode()).hexdigest()[:16]})\n"


def stable(name, path, text):
    """A rendered template without what differs from run to run, or is only long."""
    text = re.sub(r"^(  descriptor_set\.bin: ).*$", r"\1(left out)", text, flags=re.M)
    if path.endswith("edge/token.yaml"):
        text = re.sub(r"^(  (signing-key|jwks\.json|token): ).*$", r"\1(random)", text, flags=re.M)
    if path.endswith("edge/envoy.yaml") and name not in WITH_ENVOY:
        text = re.sub(r"^(  (?:edge|gateway)\.yaml: \|\n)((?:    .*\n|\s*\n)+)", checksum, text, flags=re.M)
    # These are files of the chart.
    text = re.sub(r"^(  diptych\.json: \|\n)((?:    .*(?:\n|$)|\s*\n)+)", checksum, text, flags=re.M)
    text = re.sub(r"^(  groups:\n)((?:    .*(?:\n|$)|\s*\n)+)", checksum, text, flags=re.M)
    return text


def check_golden(name, texts):
    content = "".join(
        f"# Source: {path}\n" + "\n".join(line.rstrip() for line in stable(name, path, text).strip().splitlines()) + "\n"
        for path, text in texts.items()
    )
    path = GOLDEN / f"{name}.yaml"
    if "--update" in sys.argv:
        GOLDEN.mkdir(exist_ok=True)
        path.write_text(content)
    elif not path.exists() or path.read_text() != content:
        report(f"{name}: differs from {path.relative_to(CHART)}; look at it with --update and git diff")


def check_kubernetes(name, all_objects):
    """Objects of Kubernetes itself against its schemas. Custom resources have others."""
    own = [each for each in all_objects if not re.search(r"\.(io|com)/", each["apiVersion"].replace(".k8s.io/", "/"))]
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(yaml.safe_dump_all(own))
        file.flush()
        for version in VERSIONS:
            tool = pathlib.Path(sys.executable).parent / "kubernetes-validate"
            done = subprocess.run([tool, "--strict", "-k", version, file.name], capture_output=True, text=True)
            if done.returncode != 0:
                report(f"{name}: Kubernetes {version}: {done.stdout} {done.stderr}")


def check_refused(chart):
    for case in yaml.safe_load((CHART / "ci/refused.yaml").read_text()):
        try:
            if case.get("is_template"):
                rendered(chart, case["values"])
            else:
                chart.validate_schema(case["values"])
        except helm_python.HelmError as error:
            if case["message"] not in str(error):
                report(f"{case['values']}: refused without {case['message']!r}: {error}")
        else:
            report(f"{case['values']}: not refused")


def check_token(all_objects):
    """The token is signed by the key, which is that of the key set."""
    data = next(each["data"] for each in all_objects if each["kind"] == "Secret")
    key, jwks, token = (base64.b64decode(data[name]) for name in ("signing-key", "jwks.json", "token"))
    key = bytes.fromhex(key.decode())
    signed, _, signature = token.decode().rpartition(".")

    def decoded(text):
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))

    if decoded(json.loads(jwks)["keys"][0]["k"]) != key or len(key) != 32:
        report("token: the key set has another key")
    if decoded(signature) != hmac.digest(key, signed.encode(), "sha256"):
        report("token: wrong signature")
    claims = json.loads(decoded(signed.split(".")[1]))
    if claims["exp"] - claims["iat"] != 30 * 86400 or claims["scope"] != "commands:write queries:read":
        report(f"token: claims {claims}")


def check_files():
    """Files that are copies of others."""
    for name in ("edge.yaml", "gateway.yaml"):
        if (CHART / "files/envoy" / name).read_bytes() != (ROOT / "infra/envoy/templates" / name).read_bytes():
            report(f"files/envoy/{name} is not a copy of infra/envoy/templates/{name}")
    done = subprocess.run([sys.executable, CHART / "ci/generate.py", "--check"], capture_output=True, text=True)
    if done.returncode != 0:
        report(done.stderr.strip())


def main():
    check_files()
    linted = helm_python.lint(str(CHART), strict=True)
    if linted["errors"]:
        report(f"lint: {linted['errors']}")
    names = []
    schemas = option("--definitions") and custom_resources.definitions(option("--definitions"))
    program, envoy = option("--program"), option("--envoy")
    with helm_python.Chart.load(str(CHART)) as chart:
        for name, values in cases():
            names.append(name)
            chart.validate_schema(values)
            texts = rendered(chart, values)
            all_objects = objects(texts)
            check_golden(name, texts)
            check_kubernetes(name, all_objects)
            for problem in rules.problems(all_objects, values, ROOT):
                report(f"{name}: {problem}")
            found = [*programs.load(program, all_objects)] if program else []
            found += programs.validate(envoy, all_objects, OTHER_KEY_SET) if envoy else []
            if program and envoy and name == "embedded":
                found += programs.run_test(program, envoy, all_objects)
            for problem in found:
                report(f"{name}: {problem}")
            if schemas:
                for problem in custom_resources.problems(all_objects, schemas):
                    report(f"{name}: {problem}")
            if name == "embedded":
                # Several, as each has another key.
                for _ in range(20):
                    check_token(objects(rendered(chart, values)))
        check_refused(chart)
    for path in GOLDEN.glob("*.yaml"):
        if path.stem not in names:
            report(f"ci/golden/{path.name} belongs to no case")
    print(f"{len(names)} cases, {len(problems)} problems")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
