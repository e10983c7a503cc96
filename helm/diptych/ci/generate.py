#!/usr/bin/env python3
"""Makes values.schema.json and the reference of values in README.md, from the comments of values.yaml.

    generate.py            writes both
    generate.py --check    fails if one of them is not up to date

A comment directly above a value is its description. Lines in it that begin with `@schema` add to the value's schema,
and `@moved {key: words}` refuses keys beside the value with words. Settings of Diptych are taken from
docs/OPERATIONS.md.
Needs PyYAML.
"""

import json
import pathlib
import re
import sys

import yaml

CHART = pathlib.Path(__file__).resolve().parent.parent
OPERATIONS = CHART.parent.parent / "docs/OPERATIONS.md"
BEGIN, END = "<!-- generated: values -->", "<!-- end -->"

# Settings that the chart makes of other values, and what to set instead.
OWN_SETTINGS = {
    "listen": "the chart sets this; the ports are 7400 and 7401",
    "metrics_listen": "the chart sets this; the ports are 7400 and 7401",
    "instance": "the chart sets this: the name of the pod",
    "data": "set embedded.dataFolder and embedded.persistence",
    "partitions": "set partitions, beside config",
    "drain_delay": "set shutdown.drainDelaySeconds",
    "shutdown_timeout": "set shutdown.timeoutSeconds",
    "postgres.url": "a secret: set postgres.external.existingSecret",
    "kafka.bootstrap_servers": "set kafka.external.bootstrapServers",
    "kafka.extra": "a secret: set kafka.external.existingSecret",
    "scylla.contact_points": "set scylla.external.contactPoints",
    "scylla.user": "a secret: set scylla.authentication.existingSecret",
    "scylla.password": "a secret: set scylla.authentication.existingSecret",
    "memcached.servers": "set memcached.external.servers, or memcached.bundled.replicas",
}


class Comment:
    """What is written above a value."""

    def __init__(self, lines):
        self.schema, self.moved, words = {}, {}, []
        for line in lines:
            if line.startswith("@schema "):
                self.schema.update(yaml.safe_load(line[8:]))
            elif line.startswith("@moved "):
                self.moved.update(yaml.safe_load(line[7:]))
            else:
                words.append(line)
        self.text = " ".join(words)


def comments(text):
    """Comments of values.yaml by the path of their value."""
    found, path, lines = {}, [], []
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("# ") or stripped == "#":
            lines.append(stripped[2:])
            continue
        key = re.match(r"^( *)([A-Za-z][A-Za-z0-9]*):", line)
        if key:
            depth = len(key[1]) // 2
            path = path[:depth] + [key[2]]
            if lines:
                found[".".join(path)] = Comment(lines)
        if stripped or lines:
            lines = []
    return found


def type_of(value):
    """Schema of the type of a default."""
    for kind, name in [(bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array")]:
        if isinstance(value, kind):
            return {"type": name}
    return {}


def schema_of(values, found, path=""):
    """Schema of a map of values."""
    properties = {}
    for key, value in values.items():
        here = f"{path}.{key}" if path else key
        comment = found.get(here)
        if comment is None:
            sys.exit(f"values.yaml: {here} has no comment")
        if "$ref" in comment.schema:
            schema = {}
        elif isinstance(value, dict) and not comment.schema.get("type"):
            schema = schema_of(value, found, here)
        else:
            schema = type_of(value)
        schema = {**schema, **comment.schema}
        if comment.moved:
            refused = {old: refusal(words) for old, words in comment.moved.items()}
            # Beside the value, not in it.
            properties.update(refused)
        schema["description"] = comment.text
        properties[key] = schema
    return {"type": "object", "additionalProperties": False, "properties": properties}


def refusal(words):
    """Schema that no value has; the validator prints the constant, and so the words."""
    return {"const": words, "description": f"Refused: {words}."}


def setting_schema(allowed, meaning):
    """Schema of a setting of Diptych, whose exact range the program checks itself."""
    if allowed == "true or false":
        schema = {"type": "boolean"}
    elif match := re.fullmatch(r"([\d,]+) to ([\d,]+)", allowed):
        low, high = (int(number.replace(",", "")) for number in match.groups())
        schema = {"type": "number" if (low, high) == (0, 1) else "integer", "minimum": low, "maximum": high}
    elif re.fullmatch(r"\d+(ms|s|m|h|d) to \d+(ms|s|m|h|d)", allowed):
        schema = {"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$"}
    elif re.fullmatch(r"\d+(KiB|MiB|GiB|B) to \d+(KiB|MiB|GiB|B)", allowed):
        schema = {"type": "string", "pattern": "^[0-9]+(B|KiB|MiB|GiB)$"}
    elif allowed == "http://host:port, or empty":
        schema = {"type": "string", "pattern": "^(http://[^/]+:[0-9]{1,5})?$"}
    elif allowed in ("auto, text, json", "LOCAL_QUORUM, QUORUM"):
        schema = {"type": "string", "enum": allowed.split(", ")}
    else:
        schema = {"type": "string"}
    return {**schema, "description": f"{meaning} {allowed[0].upper()}{allowed[1:]}."}


def config_schema():
    """Schema of `config`, from the table of settings."""
    table = OPERATIONS.read_text().split("<!-- generated: settings -->")[1].split(END)[0]
    rows = re.findall(r"^\| `([a-z_.]+)` \| `\w+` \| `.*?` \| (.*?) \| (.*?) \|$", table, re.M)
    sections = dict(re.findall(r"^`\[(\w+)\]`: (.*)$", table, re.M))
    unknown = set(OWN_SETTINGS) - {key for key, _, _ in rows}
    if not rows or unknown:
        sys.exit(f"docs/OPERATIONS.md has no settings {sorted(unknown)}")
    config = {"type": "object", "additionalProperties": False, "description": "Settings of Diptych.", "properties": {}}
    for key, allowed, meaning in rows:
        section, _, name = key.rpartition(".")
        properties = config["properties"]
        if section:
            new = {"type": "object", "additionalProperties": False, "description": sections[section], "properties": {}}
            properties = properties.setdefault(section, new)["properties"]
        words = OWN_SETTINGS.get(key)
        properties[name] = refusal(words) if words else setting_schema(allowed, meaning)
    return config


def role_schemas(values, found):
    """Schemas of roles: all have the values of `command`."""
    command = schema_of(values["roles"]["command"], found, "roles.command")
    plain = json.loads(json.dumps(command))
    del plain["properties"]["autoscaling"]
    keda = schema_of(values["roles"]["projector"]["keda"], found, "roles.projector.keda")
    keda["description"] = found["roles.projector.keda"].text
    projector = json.loads(json.dumps(plain))
    projector["properties"]["keda"] = keda
    refused = refusal("only command and query have an autoscaler; the relay has one leader, and the projector has keda")
    plain["properties"]["autoscaling"] = refused
    projector["properties"]["autoscaling"] = refused
    return {"scaledRole": command, "role": plain, "projector": projector}


def schema(values, found):
    """The whole schema."""
    definitions = yaml.safe_load((CHART / "ci/definitions.yaml").read_text())
    definitions["config"] = config_schema()
    definitions.update(role_schemas(values, found))
    whole = schema_of(values, found)
    # Values that every chart may get from Helm.
    whole["properties"]["global"] = {"type": "object", "description": "Values shared with parent charts; not used."}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Values of the chart diptych"}
    return {**head, **whole, "$defs": definitions}


def rows(values, found, path=""):
    """Rows of the reference: key, default and description of each single value."""
    for key, value in values.items():
        here = f"{path}.{key}" if path else key
        comment = found.get(here)
        is_whole = comment is not None and "$ref" in comment.schema
        described = found.get(here) or found.get(re.sub(r"^roles\.\w+", "roles.command", here))
        if isinstance(value, dict) and value and (not is_whole or here == "roles.command"):
            yield from rows(value, found, here)
        elif isinstance(value, dict) and value and here == "roles.projector":
            yield from rows({"keda": value["keda"]}, found, here)
        elif here in ("roles.relay", "roles.query"):
            yield here, "", f"{comment.text} Its values are those of `roles.command`."
        else:
            yield here, json.dumps(value), described.text


def reference(values, found):
    """The reference of values as a table of Markdown."""
    lines = ["| value | default | meaning |", "|---|---|---|"]
    for key, default, text in rows(values, found):
        lines.append(f"| `{key}` | {f'`{default}`' if default else ''} | {text.replace('|', chr(92) + '|')} |")
    return "\n".join(lines)


def is_current(path, content):
    """Whether a file has this content."""
    return path.exists() and path.read_text() == content


def main():
    text = (CHART / "values.yaml").read_text()
    values, found = yaml.safe_load(text), comments(text)
    page = (CHART / "README.md").read_text()
    before, rest = page.split(BEGIN)
    after = rest.split(END, 1)[1]
    outputs = {
        "values.schema.json": json.dumps(schema(values, found), indent=2) + "\n",
        "README.md": f"{before}{BEGIN}\n\n{reference(values, found)}\n\n{END}{after}",
    }
    stale = [name for name, content in outputs.items() if not is_current(CHART / name, content)]
    if "--check" in sys.argv:
        sys.exit(f"not up to date: {', '.join(stale)}; run ci/generate.py" if stale else 0)
    for name in stale:
        (CHART / name).write_text(outputs[name])
        print(f"wrote {name}")


if __name__ == "__main__":
    main()
