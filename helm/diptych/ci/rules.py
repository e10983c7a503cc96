"""What every rendering must satisfy, beyond the schemas of its objects."""

import json
import re
import tomllib

POD_KINDS = {"Pod", "Deployment", "StatefulSet", "Job"}
# Lists whose entries have a key: with two of one key, server-side apply refuses the object.
LIST_KEYS = {
    "env": ["name"],
    "ports": ["containerPort", "port", "protocol", "name"],
    "volumes": ["name"],
    "volumeMounts": ["mountPath"],
    "containers": ["name"],
    "imagePullSecrets": ["name"],
    "topologySpreadConstraints": ["topologyKey", "whenUnsatisfiable"],
}


def pod_of(each):
    """Metadata and spec of the pod that an object makes, or None."""
    if each["kind"] == "Pod":
        return each["metadata"], each["spec"]
    if each["kind"] in POD_KINDS:
        template = each["spec"]["template"]
        return template["metadata"], template["spec"]
    return None


def name_of(each):
    return f"{each['kind']} {each['metadata']['name']}"


def problems(objects, values, root):
    """All problems of a rendering."""
    yield from identities(objects)
    pods = [(name_of(each), *pod_of(each)) for each in objects if pod_of(each)]
    known = known_names(root)
    for name, metadata, spec in pods:
        for problem in [*restricted(spec), *probes(spec), *program(spec, known)]:
            yield f"{name}: {problem}"
    yield from duplicates(objects)
    yield from references(objects, values)
    yield from services(objects, pods)
    yield from policies(objects, pods)
    yield from settings(objects, known)


def identities(objects):
    seen = set()
    for each in objects:
        identity = (each["apiVersion"].split("/")[0], each["kind"], each["metadata"]["name"])
        if identity in seen:
            yield f"two objects {identity}"
        seen.add(identity)
        if len(each["metadata"]["name"]) > 63:
            yield f"the name of {identity} is too long"


def restricted(spec):
    """The Pod Security Standard "restricted", and what goes beyond it."""
    context = spec.get("securityContext", {})
    if spec.get("enableServiceLinks") is not False:
        yield "variables of Services may be read as settings"
    if spec.get("automountServiceAccountToken") is not False:
        yield "a token of the service account is mounted"
    if not context.get("runAsNonRoot") or context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "may run as root, or without seccomp"
    for field in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(field):
            yield field
    for container in spec["containers"] + spec.get("initContainers", []):
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("capabilities", {}).get("drop") != ["ALL"]:
            yield f"{container['name']} may gain privileges"
        if own.get("readOnlyRootFilesystem") is not True:
            yield f"{container['name']} can write to its image"
        resources = container.get("resources", {})
        if "memory" not in resources.get("limits", {}) or {"cpu", "memory"} - set(resources.get("requests", {})):
            yield f"{container['name']} has no requests, or no limit on memory"
    for volume in spec.get("volumes", []):
        if not {"configMap", "secret", "emptyDir", "persistentVolumeClaim"} & set(volume):
            yield f"volume {volume['name']} is of another kind"


def probes(spec):
    for container in spec["containers"]:
        names = {port["name"] for port in container.get("ports", [])}
        numbers = {port["containerPort"] for port in container.get("ports", [])}
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            probe = container.get(kind)
            if probe is None:
                continue
            for action in ("grpc", "httpGet", "tcpSocket"):
                port = probe.get(action, {}).get("port")
                if port is not None and port not in names | numbers:
                    yield f"{container['name']}: {kind} asks port {port}, which is not there"
        sleep = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if sleep >= spec.get("terminationGracePeriodSeconds", 30):
            yield f"{container['name']} is killed while it sleeps before its stop"


def known_names(root):
    """Variables, subcommands and health names of the program, by its sources and pages."""
    page = (root / "docs/OPERATIONS.md").read_text()
    keys = dict(re.findall(r"^\| `([a-z_.]+)` \| `(DIPTYCH_\w+)` \|", page, re.M))
    subcommands = set(re.findall(r"`diptych (\w+)", page))
    source = (root / "services/runtime/src/grpc/health.rs").read_text()
    health = set(re.findall(r'set_service_status\("(\w+)"', source)) | set(re.findall(r'\["", "(\w+)"\]', source))
    variables = set(keys.values()) | {"DIPTYCH_TOKEN"}
    return {"keys": set(keys), "variables": variables, "subcommands": subcommands, "health": health}


def program(spec, known):
    for container in spec["containers"]:
        if "command" in container or container["args"][0].startswith("-"):
            continue
        if container["args"][0] not in known["subcommands"]:
            yield f"{container['args'][0]} is no subcommand"
        for variable in container.get("env", []):
            if variable["name"].startswith("DIPTYCH_") and variable["name"] not in known["variables"]:
                yield f"{variable['name']} is no setting"
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            service = container.get(kind, {}).get("grpc", {}).get("service")
            if service is not None and service not in known["health"]:
                yield f"{service} is no health service"


def duplicates(objects):
    def walk(node, path):
        if isinstance(node, dict):
            for key, value in node.items():
                yield from walk(value, f"{path}.{key}")
        elif isinstance(node, list):
            keys = LIST_KEYS.get(path.rsplit(".", 1)[-1])
            seen = set()
            for index, entry in enumerate(node):
                if keys and isinstance(entry, dict):
                    identity = tuple(str(entry.get(key)) for key in keys)
                    if identity in seen:
                        yield f"{path} has {identity} twice"
                    seen.add(identity)
                yield from walk(entry, f"{path}[{index}]")

    for each in objects:
        yield from walk(each["spec"] if "spec" in each else {}, name_of(each))


def references(objects, values):
    """Every ConfigMap, Secret, claim and account is in the release, or named in the values."""
    made = {(each["kind"], each["metadata"]["name"]) for each in objects}
    # Secrets that operators make.
    for each in objects:
        if each["kind"] == "Cluster":
            made.add(("Secret", f"{each['metadata']['name']}-app"))
        if each["kind"] == "KafkaUser":
            made.add(("Secret", each["metadata"]["name"]))
    given = set(re.findall(r'"([^"]*)"', json.dumps(values)))

    def walk(node):
        if isinstance(node, dict):
            for kind, key, field in [
                ("ConfigMap", "configMap", "name"),
                ("ConfigMap", "configMapKeyRef", "name"),
                ("Secret", "secret", "secretName"),
                ("Secret", "secretKeyRef", "name"),
                ("PersistentVolumeClaim", "persistentVolumeClaim", "claimName"),
            ]:
                if isinstance(node.get(key), dict) and field in node[key]:
                    yield kind, node[key][field]
            for value in node.values():
                yield from walk(value)
        elif isinstance(node, list):
            for value in node:
                yield from walk(value)

    for each in objects:
        pod = pod_of(each)
        if pod is None:
            continue
        wanted = set(walk(pod[1]))
        account = pod[1].get("serviceAccountName", "default")
        if account != "default":
            wanted.add(("ServiceAccount", account))
        for kind, name in wanted:
            if (kind, name) not in made and name not in given:
                yield f"{name_of(each)}: {kind} {name} does not exist"


def selects(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


def services(objects, pods):
    for each in objects:
        if each["kind"] != "Service":
            continue
        matching = [spec for _, metadata, spec in pods if selects(each["spec"]["selector"], metadata.get("labels", {}))]
        if len(matching) != 1:
            yield f"{name_of(each)} selects {len(matching)} kinds of pods"
            continue
        names = {port["name"] for container in matching[0]["containers"] for port in container.get("ports", [])}
        for port in each["spec"]["ports"]:
            if port["targetPort"] not in names:
                yield f"{name_of(each)}: no port {port['targetPort']}"
    for each in objects:
        if each["kind"] in ("Deployment", "StatefulSet"):
            template = each["spec"]["template"]["metadata"]["labels"]
            if not selects(each["spec"]["selector"]["matchLabels"], template):
                yield f"{name_of(each)} does not select its pods"
        if each["kind"] == "PodDisruptionBudget":
            selector = each["spec"]["selector"]["matchLabels"]
            if not any(selects(selector, metadata["labels"]) for _, metadata, _ in pods):
                yield f"{name_of(each)} selects nothing"


def policies(objects, pods):
    """Each pod is closed by default, and a way that is opened ends at a port that is there."""
    own = [each["spec"] for each in objects if each["kind"] == "NetworkPolicy"]
    if not own:
        return
    for name, metadata, _ in pods:
        mine = [policy for policy in own if selects(policy["podSelector"]["matchLabels"], metadata["labels"])]
        if not any(set(policy["policyTypes"]) == {"Ingress", "Egress"} for policy in mine):
            yield f"{name} has no NetworkPolicy"
        if len(mine) != 2:
            yield f"{name} has {len(mine)} policies, not the default and its own"
    for policy in own:
        labels = policy["podSelector"]["matchLabels"]
        targets = [spec for _, metadata, spec in pods if selects(labels, metadata["labels"])]
        numbers = {p["containerPort"] for spec in targets for c in spec["containers"] for p in c.get("ports", [])}
        for rule in policy.get("ingress", []):
            for port in rule["ports"]:
                if port["port"] not in numbers:
                    yield f"policy of {labels}: nothing listens at {port['port']}"
        for rule in policy.get("egress", []):
            for peer in rule.get("to", []):
                selector = peer.get("podSelector", {}).get("matchLabels", {})
                if not any("app.kubernetes.io" in key for key in selector):
                    continue
                callees = [spec for _, metadata, spec in pods if selects(selector, metadata["labels"])]
                ports = {p["containerPort"] for spec in callees for c in spec["containers"] for p in c.get("ports", [])}
                if not {port["port"] for port in rule["ports"]} <= ports:
                    yield f"policy of {labels}: a way ends at no port of {selector}"


def settings(objects, known):
    for each in objects:
        text = each.get("data", {}).get("diptych.toml") if each["kind"] == "ConfigMap" else None
        if text is None:
            continue
        for key, value in tomllib.loads(text).items():
            for name in [f"{key}.{inner}" for inner in value] if isinstance(value, dict) else [key]:
                if name not in known["keys"]:
                    yield f"{name_of(each)}: {name} is no setting"
