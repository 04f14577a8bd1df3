"""The configurations that ship with the program, by name."""

from importlib.resources import files
from pathlib import Path

from data.errors import InputError, nearest

SUFFIX = ".yaml"


def shipped_names() -> list[str]:
    """Names of the whole configurations ("voc-paper"); parts of one ("backbone/vgg16") are not listed."""
    return sorted(e.name.removesuffix(SUFFIX) for e in files("configs").iterdir() if e.name.endswith(SUFFIX))


def shipped_config(name: str) -> Path | None:
    """Where the shipped configuration `name` lies ("voc-paper", "backbone/vgg16.yaml"); None if there is none."""
    path = Path(str(files("configs") / f"{name.removeprefix('configs/').removesuffix(SUFFIX)}{SUFFIX}"))
    return path if path.is_file() else None


def find_config(name: str) -> str:
    """Path of a configuration: a file of the user's, or one that ships with pdsl, by its name. Raises InputError."""
    if Path(name).is_file():
        return name
    if path := shipped_config(name):
        return str(path)
    raise InputError(
        f"configuration '{name}': no such file, and none of that name ships with pdsl{nearest(name, shipped_names())}"
    )
