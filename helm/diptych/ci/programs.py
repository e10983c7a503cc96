"""Renderings with the real programs: settings are loaded, Envoy's configurations validated, and the test run.

Files that a rendering mounts are written to a folder, and their paths and addresses replaced by those of this machine.
"""

import base64
import pathlib
import socket
import subprocess
import tempfile
import time

SETTINGS = "diptych.toml"
# What a process of Diptych needs beside its settings to check them.
SECRETS = {"DIPTYCH_POSTGRES__URL": "postgres://user@host/database"}


def data_of(objects, kind):
    """Files of all ConfigMaps or Secrets, by name."""
    files = {}
    for each in objects:
        if each["kind"] == kind:
            encoded = {**each.get("binaryData", {}), **(each.get("data", {}) if kind == "Secret" else {})}
            files.update({name: base64.b64decode(text) for name, text in encoded.items()})
            if kind == "ConfigMap":
                files.update({name: text.encode() for name, text in each.get("data", {}).items()})
    return files


def subcommands(objects):
    """Subcommands of Diptych that read the settings."""
    for each in objects:
        if each["kind"] in ("Deployment", "StatefulSet", "Job"):
            for container in each["spec"]["template"]["spec"]["containers"]:
                if "--config" in container["args"] and "command" not in container:
                    yield container["args"][0]


def load(program, objects):
    """Problems of the settings, as each subcommand sees them."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / SETTINGS
        path.write_bytes(data_of(objects, "ConfigMap")[SETTINGS])
        for subcommand in subcommands(objects):
            command = [program, subcommand, "--config", path, "--dump-config"]
            done = subprocess.run(command, env=SECRETS, capture_output=True, text=True)
            if done.returncode != 0:
                yield f"diptych {subcommand}: {done.stderr.strip()}"


def envoy_files(folder, objects, keys):
    """Writes what Envoy reads; returns its configurations by name."""
    files = {**data_of(objects, "ConfigMap"), **data_of(objects, "Secret")}
    names = [name for name in ("gateway", "edge") if f"{name}.yaml" in files]
    for name in names:
        text = files[f"{name}.yaml"].decode().replace("/etc/envoy/", f"{folder}/").replace("/etc/jwks/", f"{folder}/")
        (folder / f"{name}.yaml").write_text(text)
    if names:
        (folder / "descriptor_set.bin").write_bytes(files["descriptor_set.bin"])
        # A case that names keys of its own has none here.
        for key in ("jwks.json", "keys.json"):
            (folder / key).write_bytes(files.get("jwks.json", keys))
    return names


def validate(envoy, objects, keys):
    """Problems of Envoy's configurations."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for each in envoy_files(folder, objects, keys):
            options = ["--mode", "validate", "--disable-hot-restart", "-l", "error"]
            command = [envoy, *options, "-c", folder / f"{each}.yaml"]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                yield f"{each}.yaml: {done.stdout.strip()} {done.stderr.strip()}"


def free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def run_test(program, envoy, objects):
    """Problems of the test of `mode: embedded`: Diptych and both Envoys on this machine, and the pod's own arguments."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        secrets = data_of(objects, "Secret")
        names = envoy_files(folder, objects, b"")
        grpc, metrics, edge, gateway, *admin = free_ports(6)
        replaced = {
            "0.0.0.0:7400": f"127.0.0.1:{grpc}",
            "0.0.0.0:7401": f"127.0.0.1:{metrics}",
            "/var/lib/diptych": name,
            '"0.0.0.0"': "127.0.0.1",
            '"demo-diptych-embedded.prod.svc"': "127.0.0.1",
        }
        ports = {7400: grpc, 8080: edge, 8081: gateway, 9901: admin[0], 9902: admin[1]}
        replaced.update({f"port_value: {old}": f"port_value: {new}" for old, new in ports.items()})
        (folder / SETTINGS).write_bytes(data_of(objects, "ConfigMap")[SETTINGS])
        (folder / "transactions.csv").write_bytes(data_of(objects, "ConfigMap")["transactions.csv"])
        for path in [SETTINGS, *(f"{each}.yaml" for each in names)]:
            text = (folder / path).read_text()
            for old, new in replaced.items():
                text = text.replace(old, new)
            (folder / path).write_text(text)

        pod = next(each for each in objects if each["kind"] == "Pod")
        container = pod["spec"]["containers"][0]
        arguments = [argument.replace("/etc/test", name) for argument in container["args"]]
        arguments[arguments.index("--to") + 1] = f"http://127.0.0.1:{edge}"
        environment = {"DIPTYCH_TOKEN": secrets["token"].decode(), "TMPDIR": name}
        options = ["--disable-hot-restart", "--concurrency", "1", "-l", "error"]
        commands = [[program, "dev", "--config", folder / SETTINGS]]
        commands += [[envoy, "-c", folder / f"{each}.yaml", *options] for each in names]
        processes = []
        try:
            with open(folder / "log", "wb") as log:
                processes = [subprocess.Popen(command, env={}, stdout=log, stderr=log) for command in commands]
                deadline = time.monotonic() + 60
                # Refused until the edge listens; `import` retries after that.
                while time.monotonic() < deadline and not listens(edge):
                    time.sleep(0.1)
                for attempt in ("first", "repeated"):
                    done = subprocess.run([program, *arguments], env=environment, capture_output=True, text=True)
                    if done.returncode != 0 or "the ledger matches the file" not in done.stdout:
                        log_end = (folder / "log").read_text(errors="replace")[-2000:]
                        yield f"the {attempt} test fails: {done.stdout}{done.stderr}\n{log_end}"
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(30)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
