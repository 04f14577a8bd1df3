"""A Dockerfile's instructions, carried out in fresh Debian roots by debootstrap and chroot, as a container engine does.

    python -m tests.examples.dockerfile FOLDER      builds examples/docker/Dockerfile there; as root, minutes, 10 GB

Only what that file uses is understood; anything else is an error. How apt, pip and certificates are set up on this
machine is carried along into the roots.
"""

import fnmatch
import json
import os
import re
import shlex
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "examples" / "docker" / "Dockerfile"
SUITE = "bookworm"
OWN_SETTINGS = (
    *("/etc/apt/apt.conf.d", "/etc/apt/sources.list.d", "/etc/apt/auth.conf.d"),
    *("/etc/pip.conf", "/etc/xdg/pip", "~/.config/pip", "/etc/ssl/certs"),
)
CERTIFICATES = "/var/lib/carried-certificates.pem"
"""Where no package writes: ca-certificates, when it is installed, makes those of /etc/ssl anew, without our own."""
OWN_VARIABLES = ("PIP_", "SSL_CERT", "REQUESTS_CA", "HTTP", "http", "NO_PROXY", "no_proxy")


@dataclass
class Stage:
    """FROM … AS name, and the instructions below it as (word, rest)."""

    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)


def parse(text: str) -> list[Stage]:
    """The stages of a Dockerfile; continued lines are joined, comments left out."""
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    for line in re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n", "", text)).splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            found = re.fullmatch(r"(\S+)(?: AS (\S+))?", rest.strip())
            assert found, line
            stages.append(Stage(_filled(found[1], arguments), found[2] or str(len(stages))))
        elif word == "ARG" and not stages:
            name, _, value = rest.partition("=")
            arguments[name] = value
        elif word:
            stages[-1].instructions.append((word, rest.strip()))
    return stages


def context(ignore: str) -> Iterator[Path]:
    """Files of this checkout that an ignore file lets in; it says: nothing, but !this and !that, and not **/these."""
    lines = [line for line in ignore.splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*"
    let_in = [line[1:] for line in lines if line.startswith("!")]
    left_out = [line.removeprefix("**/") for line in lines[1:] if not line.startswith("!")]
    for name in let_in:
        place = ROOT / name
        assert place.exists(), f"{name} is let in, and is not there"
        for path in [place] if place.is_file() else sorted(p for p in place.rglob("*") if p.is_file()):
            parts = path.relative_to(ROOT).parts
            if not any(fnmatch.fnmatch(part, pattern) for part in parts for pattern in left_out):
                yield path.relative_to(ROOT)


def build(folder: Path) -> tuple[Path, Stage, dict[str, str]]:
    """Carry out all stages in roots below `folder`; the last one's root, itself, and its variables."""
    source = folder / "context"
    for name in context((DOCKERFILE.parent / "Dockerfile.dockerignore").read_text()):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    fresh = folder / "fresh"
    make_root(fresh)
    roots: dict[str, Path] = {}
    for stage in parse(DOCKERFILE.read_text()):
        roots[stage.name] = folder / f"stage-{stage.name}"
        subprocess.run(["cp", "--archive", fresh, roots[stage.name]], check=True)
        variables = carry_out(stage, roots, source)
    return roots[stage.name], stage, variables


def make_root(place: Path) -> None:
    """A Debian of its required packages, set up to get others as this machine does; what is there is kept."""
    sources = " ".join(path.read_text() for path in Path("/etc/apt").rglob("*.sources")) + " ".join(
        path.read_text() for path in Path("/etc/apt").rglob("*.list")
    )
    mirrors = re.findall(r"\bhttps?://\S+/debian/?(?=\s)", sources)
    if not place.exists():
        subprocess.run(["debootstrap", "--variant=minbase", SUITE, place, *mirrors[:1]], check=True)
    named = {value for name, value in os.environ.items() if name.startswith(OWN_VARIABLES) and value[:1] == "/"}
    for own in [*(Path(name).expanduser() for name in OWN_SETTINGS), *map(Path, named | pip_paths())]:
        if own.exists():
            target = place / own.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "--archive", "--dereference", "--no-target-directory", own, target], check=True)
    shutil.copyfile(bundle(), place / CERTIFICATES.lstrip("/"))


def pip_paths() -> set[str]:
    """Files and folders that pip's own settings on this machine name: wheels, constraints."""
    told = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    return set(re.findall(r"['\s](/[^\s'\\]+)", told.stdout))


def bundle() -> Path:
    """The certificates that this machine trusts, in one file."""
    asked = [os.environ.get(name) for name in ("PIP_CERT", "SSL_CERT_FILE")]
    return Path(next(filter(None, [*asked, ssl.get_default_verify_paths().cafile])))


def carry_out(stage: Stage, roots: Mapping[str, Path], source: Path) -> dict[str, str]:
    """The instructions of a stage in its root; its variables at the end."""
    root, variables, workdir, user = roots[stage.name], dict[str, str](), "/", "0:0"
    variables["PATH"] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    for word, rest in stage.instructions:
        print(f"{stage.name}: {word} {rest}", flush=True)
        if word == "RUN":
            inside(root, ["sh", "-c", rest], variables, workdir, user)
        elif word in ("ARG", "ENV"):
            for pair in shlex.split(rest):
                name, _, value = pair.partition("=")
                variables[name] = _filled(value, variables)
        elif word == "WORKDIR":
            workdir = rest
            (root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif word == "USER":
            user = rest
        elif word == "COPY":
            copy(rest.split(), roots, source, root, workdir)
        else:
            assert word == "CMD", f"{word} is not understood here"
    return variables


def copy(words: list[str], roots: Mapping[str, Path], source: Path, root: Path, workdir: str) -> None:
    """COPY: of the context into the working folder, or of another stage to the same place."""
    if words[0].startswith("--from="):
        assert words[1] == words[2], "only to the same place"
        place = words[1].lstrip("/")
        origin = roots[words[0].removeprefix("--from=")] / place
        subprocess.run(["cp", "--archive", "--link", origin, root / place], check=True)
        return
    *names, target = words
    assert target in (".", "./"), "only into the working folder"
    for name in names:
        if name == ".":
            shutil.copytree(source, root / workdir.lstrip("/"), dirs_exist_ok=True)
        else:
            shutil.copy2(source / name, root / workdir.lstrip("/"))


def inside(root: Path, command: list[str], variables: Mapping[str, str], workdir: str, user: str) -> str:
    """What a command prints that runs in `root` as `user`; an error with it where it fails."""
    own = {name: value for name, value in os.environ.items() if name.startswith(OWN_VARIABLES)}
    own |= dict.fromkeys(("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"), CERTIFICATES)
    script = f"mount --rbind /dev {root}/dev; mount -t proc proc {root}/proc; cp /etc/resolv.conf {root}/etc/; "
    script += f'exec chroot --userspec={user} {root} sh -c \'cd {workdir} && exec "$@"\' sh "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", script, "sh", *command],
        env={**own, "HOME": "/tmp" if user != "0:0" else "/root", "DEBIAN_FRONTEND": "noninteractive", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    return done.stdout


def _filled(text: str, variables: Mapping[str, str]) -> str:
    return re.sub(r"\$\{?(\w+)\}?", lambda found: variables.get(found[1], ""), text)


def main(folder: Path) -> None:
    root, stage, variables = build(folder)
    told = dict(stage.instructions)
    for command in (
        json.loads(told["CMD"]),
        ["pdsl", "--version"],
        ["python", "-c", "import cv2, numba, torch, torchvision, s3fs; print('torch', torch.__version__)"],
        ["sh", "-c", "id -u; touch here; ! touch /opt/pdsl/there 2>/dev/null"],
    ):
        print(inside(root, command, variables, told["WORKDIR"], told["USER"]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
