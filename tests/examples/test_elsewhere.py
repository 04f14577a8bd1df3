"""examples/docker, kubernetes and all shell scripts: what can be said of them without an engine or a cluster."""

import copy
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import needs
from tests.examples import dockerfile
from tests.examples.makers import EXAMPLES, ROOT

SCRIPTS = sorted(EXAMPLES.rglob("*.sh"))
MANIFESTS = [
    document for file in sorted(EXAMPLES.glob("kubernetes/*.yaml")) for document in yaml.safe_load_all(file.read_text())
]
USER = "10001"


def test_shell_scripts_can_be_read() -> None:
    needs.BASH.or_skip()
    assert len(SCRIPTS) >= 4
    for script in SCRIPTS:
        shell = "bash" if "bash" in script.read_text().splitlines()[0] else "sh"
        assert not subprocess.run([shell, "-n", script], capture_output=True).stderr


def test_links_between_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), *EXAMPLES.rglob("*.md")]
    links = [(page, link) for page in pages for link in re.findall(r"\]\((?!http|#)([^)#]+)", page.read_text())]
    assert len(links) > 40 and not [(page, link) for page, link in links if not (page.parent / link).exists()]


@pytest.mark.slow
def test_linters_have_nothing_to_say() -> None:
    needs.LINTERS.or_skip()
    for command in (["shellcheck", *SCRIPTS], ["hadolint", dockerfile.DOCKERFILE]):
        done = subprocess.run([str(needs.find(command[0])), *command[1:]], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_the_image_holds_the_program_pinned_and_no_other_files() -> None:
    build, final = dockerfile.parse(dockerfile.DOCKERFILE.read_text())
    assert build.base == final.base == "debian:bookworm-slim"
    runs = [rest for word, rest in build.instructions if word == "RUN"]
    assert sum("--constraint constraints.txt" in run for run in runs) == 1 and "--no-deps ." in runs[-1]
    copied = [rest for word, rest in build.instructions if word == "COPY"]
    assert copied.index(". .") == len(copied) - 1, "a changed line of code installs all dependencies again"
    assert dict(final.instructions)["USER"] == f"{USER}:{USER}" and f"--uid {USER} " in str(final.instructions)
    files = {str(path) for path in dockerfile.context((EXAMPLES / "docker/Dockerfile.dockerignore").read_text())}
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {"cli.py", "pyproject.toml", "constraints.txt", "README.md", "LICENSE"} <= files
    for name in packages:
        room = name.removesuffix("*")
        assert f"{room}/__init__.py" in files
    assert "stages/contours/contour_net.npz" in files and "configs/voc-paper.yaml" in files
    assert not {name for name in files if name.startswith(("tests/", "docs/", ".git")) or "__pycache__" in name}


def test_requirements_of_an_image() -> None:
    def listed(extras: str) -> set[str]:
        program = [sys.executable, str(EXAMPLES / "docker/requirements.py"), extras]
        return set(subprocess.run(program, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")) - {
            ""
        }

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert listed("") == set(project["dependencies"])
    assert listed("s3,slurm") - listed("") == {
        *project["optional-dependencies"]["s3"],
        *project["optional-dependencies"]["slurm"],
    }


@pytest.mark.slow
def test_the_image_is_built_and_runs(tmp_path: Path) -> None:
    needs.FRESH_ROOT.or_skip()
    dockerfile.main(tmp_path)


def test_manifests_agree_with_the_image_and_with_themselves() -> None:
    assert [document["kind"] for document in MANIFESTS] == ["DaskJob", "PersistentVolumeClaim", "Job"]
    job, claim, training = MANIFESTS
    pods = [
        job["spec"]["job"]["spec"],
        job["spec"]["cluster"]["spec"]["worker"]["spec"],
        job["spec"]["cluster"]["spec"]["scheduler"]["spec"],
        training["spec"]["template"]["spec"],
    ]
    for pod in pods:
        assert pod["securityContext"]["runAsUser"] == int(USER) and pod["securityContext"]["runAsNonRoot"]
        for container in pod["containers"]:
            assert container["resources"]["requests"] and container["resources"]["limits"]["memory"]
            mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
            assert mounted == {volume["name"] for volume in pod.get("volumes", [])}
    service = job["spec"]["cluster"]["spec"]["scheduler"]["service"]
    assert service["selector"]["dask.org/cluster-name"] == job["metadata"]["name"]
    (container,) = pods[3]["containers"]
    assert f"--nproc-per-node={container['resources']['limits']['nvidia.com/gpu']}" in container["args"]
    assert "--resume" in container["args"] and pods[3]["terminationGracePeriodSeconds"] > 30
    assert pods[3]["volumes"][0]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]


def test_commands_of_manifests_are_ours() -> None:
    """Every option they give to pdsl exists."""
    import cli

    job, _, training = MANIFESTS
    for command, words in (
        ("precompute", job["spec"]["job"]["spec"]["containers"][0]["args"][1:]),
        ("train", training["spec"]["template"]["spec"]["containers"][0]["args"][5:]),
    ):
        known = {option for parameter in cli.cli.commands[command].params for option in parameter.opts}
        assert {word.partition("=")[0] for word in words} <= known and len(words) >= 4


@pytest.mark.slow
def test_manifests_fit_the_schemas() -> None:
    """Kubernetes' own, and the Dask operator's resource definitions, where unknown fields are errors."""
    needs.SCHEMAS.or_skip()
    kubernetes, jsonschema = import_module("kubernetes_validate"), import_module("jsonschema")
    job, *others = MANIFESTS
    for document in others:
        kubernetes.validate(document, "1.31", strict=True)
    definitions = Path(str(import_module("importlib.util").find_spec("dask_kubernetes").origin)).parent
    (file,) = definitions.rglob("helm/**/crds/daskjob.yaml")
    (version,) = yaml.safe_load(file.read_text())["spec"]["versions"]
    schema = _strict(version["schema"]["openAPIV3Schema"])
    schema["properties"] |= {name: {} for name in ("apiVersion", "kind", "metadata")}
    jsonschema.validate(job, schema)
    for path in (["spec", "job", "spec", "containers"], ["spec", "cluster", "spec", "worker", "spec", "containers"]):
        broken = copy.deepcopy(job)
        place: Any = broken
        for key in path:
            place = place[key]
        place[0]["comand"] = place[0].pop("command")
        with pytest.raises(jsonschema.ValidationError, match="comand"):
            jsonschema.validate(broken, schema)


def _strict(schema: Any) -> Any:
    """A resource definition's schema where an object that lists its properties has no others."""
    if isinstance(schema, list):
        return [_strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {key: _strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        strict["additionalProperties"] = False
    if schema.get("x-kubernetes-int-or-string"):
        strict.pop("type", None)
    return strict
