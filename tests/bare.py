"""`make test` as on a machine that has Python, make and nothing else: run with `make test-bare`.

A fresh clone of HEAD in a folder of its own, without the real images beside it; a PATH of the programs below only; an
empty home folder; no variables of this session but those that tell pip where packages come from; as user `nobody` where
root runs it, if that user may use the interpreter.

    python tests/bare.py [--python FILE] [--venv DIR] [TARGET ...]

--python: interpreter to make the environment with (default: the first on PATH, else the system's, that `nobody` may
use). --venv: an environment to use instead of installing one, which is faster and proves less.
"""

import argparse
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PROGRAMS = ("sh", "make", "test", "touch", "rm", "env")
KEPT = ("PIP_", "SSL_CERT", "REQUESTS_CA", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "LANG", "LC_")
"""Beginnings of the variables that stay."""


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--python", metavar="FILE")
    options.add_argument("--venv", metavar="DIR", type=Path)
    options.add_argument("targets", nargs="*", default=["test"], metavar="TARGET")
    given = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="pdsl-bare-") as folder:
        place = Path(folder)
        place.chmod(0o755)
        user = pwd.getpwnam("nobody") if os.getuid() == 0 else None
        python = given.python or (str(given.venv.resolve() / "bin/python") if given.venv else _interpreter(user))
        if not _may_use(python, None):
            print(f"{python}: can not be run by this user, or lacks venv (on Debian: install python3-venv)", flush=True)
            return 2
        if user is not None and not _may_use(python, user):
            print(f"{python}: user nobody may not use it; running as root", flush=True)
            user = None
        clone = _clone(place / "pdsl")
        if given.venv:
            _reuse(given.venv.resolve(), clone)
        _lay_out(place, python)
        if user is not None:
            _give(place, user)
        print(
            f"make {' '.join(given.targets)} in {clone}, {python}, as {user.pw_name if user else 'this user'}",
            flush=True,
        )
        done = subprocess.run(
            ["make", *given.targets, f"PYTHON={place / 'bin' / 'python3'}"],
            cwd=clone,
            env=_environment(place),
            stdin=subprocess.DEVNULL,
            preexec_fn=_become(user),
        )
    return done.returncode


def _interpreter(user: pwd.struct_passwd | None) -> str:
    """A Python that `user` may use; the first on PATH, else one of the system's."""
    found = [shutil.which("python3"), "/usr/bin/python3", "/usr/local/bin/python3"]
    candidates = [path for path in found if path and Path(path).exists()] or [sys.executable]
    return next((path for path in candidates if user is None or _may_use(path, user)), candidates[0])


def _may_use(python: str, user: pwd.struct_passwd) -> bool:
    try:
        return not subprocess.run(
            [python, "-c", "import venv, ensurepip"], preexec_fn=_become(user), cwd="/"
        ).returncode
    except (OSError, subprocess.SubprocessError):
        return False


def _become(user: pwd.struct_passwd | None) -> Callable[[], None]:
    def become() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it
        if user is not None:
            os.setgroups([])
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)

    return become


def _clone(target: Path) -> Path:
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(target)], check=True)
    return target


def _reuse(venv: Path, clone: Path) -> None:
    """Let the clone's make take this environment as it is: what is older than its stamp is not installed again."""
    stamp = venv / ".installed"
    if not stamp.exists():
        raise SystemExit(f"--venv {venv}: has no .installed, so `make` did not finish making it; run `make lint` there")
    (clone / ".venv").symlink_to(venv)
    for name in ("pyproject.toml", "constraints.txt"):
        os.utime(clone / name, (0, 0))


def _lay_out(place: Path, python: str) -> None:
    """bin/ with the programs of a bare machine, home/ and tmp/."""
    for name in ("bin", "home", "tmp"):
        (place / name).mkdir()
    for program in PROGRAMS:
        (place / "bin" / program).symlink_to(shutil.which(program) or f"/bin/{program}")
    (place / "bin" / "python3").symlink_to(python)


def _give(place: Path, user: pwd.struct_passwd) -> None:
    for folder, folders, names in os.walk(place):
        for name in (".", *folders, *names):
            os.chown(Path(folder, name), user.pw_uid, user.pw_gid, follow_symlinks=False)


def _environment(place: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.upper().startswith(KEPT)}
    return {**kept, "PATH": str(place / "bin"), "HOME": str(place / "home"), "TMPDIR": str(place / "tmp")}


if __name__ == "__main__":
    sys.exit(main())
