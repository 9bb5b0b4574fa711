#!/usr/bin/env python3
"""Checks what operators copy: docker-compose.yml, the example configuration and the table of settings.

Needs python3-yaml. Settings come from the table in director/config_sources.cc.
"""
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Read by the command line and not by the service's settings.
CLIENT_VARIABLES = {"DIRECTOR_CONFIG", "DIRECTOR_URL", "DIRECTOR_TOKEN", "DIRECTOR_TOKEN_FILE"}
OPTION = re.compile(r'\{"(\w+)",\s*"([^"]*)",\s*"((?:[^"\\]|\\.)*)"(?:,\s*Scope::(\w+))?(?:,\s*(true|false))?\}')


def settings():
    """Name -> (default, scope); secrets also with `_file`."""
    source = (ROOT / "director/config_sources.cc").read_text(encoding="utf-8")
    table = source[source.index("ConfigOptions() {"):]
    table = table[:table.index("};")]
    found = {}
    for name, default, _, scope, secret in OPTION.findall(table):
        found[name] = (default, scope or "kServer")
        if secret == "true":
            found[name + "_file"] = ("", scope or "kServer")
    return found


def check_ports(name, service):
    for port in service.get("ports", []):
        if not re.fullmatch(r"127\.0\.0\.1:\d+:\d+", str(port)):
            yield f"{name}: port {port} is not bound to 127.0.0.1"


def check_secrets(name, service, declared):
    secrets = service.get("secrets", [])
    for secret in secrets:
        if secret not in declared:
            yield f"{name}: secret {secret} is not declared"
    for variable, value in (service.get("environment") or {}).items():
        if variable.endswith("_FILE") and not str(value).startswith("/run/secrets/"):
            yield f"{name}: {variable} is no file in /run/secrets"
        elif variable.endswith("_FILE") and str(value).removeprefix("/run/secrets/") not in secrets:
            yield f"{name}: {variable} names a secret that the service does not get"
        elif re.search(r"PASSWORD|TOKEN|KEY|SECRET", variable) and not variable.endswith("_FILE"):
            yield f"{name}: {variable} holds a secret in the open"


def check_volumes(name, service, declared):
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if not source.startswith(("./", "/")) and source not in declared:
            yield f"{name}: volume {source} is not declared"


def check_service(name, service, compose, known):
    if ("image" in service) == ("build" in service):
        yield f"{name}: needs an image or a build, and not both"
    if "build" in service and not (ROOT / str(service["build"]) / "Dockerfile").is_file():
        yield f"{name}: there is no Dockerfile in {service['build']}"
    if "healthcheck" not in service:
        yield f"{name}: has no healthcheck"
    for other in service.get("depends_on", {}):
        if other not in compose["services"]:
            yield f"{name}: depends on {other}, which does not exist"
    for variable in service.get("environment") or {}:
        if not variable.startswith("DIRECTOR_") or variable in CLIENT_VARIABLES:
            continue
        if variable.removeprefix("DIRECTOR_").lower() not in known:
            yield f"{name}: Director knows no {variable}"
    yield from check_ports(name, service)
    yield from check_secrets(name, service, compose.get("secrets", {}))
    yield from check_volumes(name, service, compose.get("volumes", {}))


def check_unused(compose):
    services = compose["services"].values()
    secrets = {secret for service in services for secret in service.get("secrets", [])}
    volumes = {volume.split(":")[0] for service in services for volume in service.get("volumes", [])}
    for kind, used in (("secrets", secrets), ("volumes", volumes)):
        for name in compose.get(kind, {}):
            if name not in used:
                yield f"{kind}: {name} is declared and not used"


def check_compose(known):
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    for name, service in compose["services"].items():
        for problem in check_service(name, service, compose, known):
            yield "docker-compose.yml: " + problem
    for problem in check_unused(compose):
        yield "docker-compose.yml: " + problem


def check_example(known):
    name = "config/director.example.yaml"
    text = (ROOT / name).read_text(encoding="utf-8")
    # What is commented out must be right as well.
    commented = re.sub(r"^# (?=(?:\w+:(?: \S|$)|  - \w+:|    \w+:))", "", text, flags=re.M)
    for content in (text, commented):
        example = yaml.safe_load(content)
        for key in example:
            if key != "upstreams" and key not in known:
                yield f"{name}: {key} is no setting"
        for entry in example.get("upstreams", []):
            for key in entry:
                if known.get(key, ("", ""))[1] != "kUpstream":
                    yield f"{name}: {key} is no setting of an MDM server"


def check_table(known):
    name = "docs/operations.md"
    text = (ROOT / name).read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| (?:`([^`|]*)`)? *\|", text, flags=re.M))
    for key, (default, _) in known.items():
        if key.endswith("_file") and key.removesuffix("_file") in known:
            continue
        if key not in rows:
            yield f"{name}: {key} is not in the table of settings"
        elif rows[key] != default:
            yield f"{name}: the default of {key} is {default!r}, not {rows[key]!r}"
    for key in rows:
        if key not in known:
            yield f"{name}: {key} is no setting"


def main():
    known = settings()
    found = [*check_compose(known), *check_example(known), *check_table(known)]
    if len(known) < 30:
        found.append("director/config_sources.cc: the table of settings cannot be read")
    for problem in found:
        print(problem)
    print(f"deployment files: {len(found)} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
