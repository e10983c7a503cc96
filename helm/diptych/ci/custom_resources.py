"""Custom resources against the schemas of their definitions, strictly: an unknown field is a problem."""

import pathlib

import jsonschema
import yaml


def strict(schema):
    """A schema that refuses unknown fields, as the API server does with `--validate=strict`."""
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    changed = {key: value for key, value in schema.items() if not key.startswith("x-") and key != "format"}
    if "properties" in schema:
        changed["properties"] = {name: strict(each) for name, each in schema["properties"].items()}
        if "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            changed["additionalProperties"] = False
    for key in ("items", "additionalProperties", "not"):
        if isinstance(schema.get(key), dict):
            changed[key] = strict(schema[key]) if key != "not" else schema[key]
    return changed


def definitions(folder):
    """Schemas by API version and kind, of all definitions in a folder."""
    schemas = {}
    for path in pathlib.Path(folder).glob("*.yaml"):
        for each in yaml.safe_load_all(path.read_text()):
            if not each or each.get("kind") != "CustomResourceDefinition":
                continue
            for version in each["spec"]["versions"]:
                schema = strict(version["schema"]["openAPIV3Schema"])
                # Of every object.
                common = {"metadata": {"type": "object"}, "apiVersion": {"type": "string"}, "kind": {"type": "string"}}
                schema.get("properties", {}).update(common)
                schemas[f"{each['spec']['group']}/{version['name']}", each["spec"]["names"]["kind"]] = schema
    return schemas


def problems(objects, schemas):
    """Problems of the custom resources among some objects. Those without a definition are named."""
    groups = {version.split("/")[0] for version, _ in schemas}
    for each in objects:
        version, kind = each["apiVersion"], each["kind"]
        group = version.split("/")[0]
        if group not in groups and ("." not in group or group.endswith("k8s.io")):
            continue
        name = f"{kind} {each['metadata']['name']}"
        if (version, kind) not in schemas:
            yield f"{name}: no definition of {version} {kind}"
            continue
        for error in jsonschema.Draft202012Validator(schemas[version, kind]).iter_errors(each):
            yield f"{name}: {'/'.join(map(str, error.path))}: {error.message[:300]}"
