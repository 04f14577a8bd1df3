"""Reading and writing the trainer's configuration.

A file may name others by `base:` (a path or a list of paths, relative to the file, or names of configurations that ship
with the program: `base: voc-official`); they are merged first, in order.
On the command line `base=PATH` adds one more to the file's list: `base=backbone/resnet50-ws.yaml`.
Every key is checked: an unknown one is an InputError that suggests the nearest known one.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from data.errors import InputError, nearest
from data.parameters import merge, nest, parse_assignment, read_mapping, replace, to_plain
from data.whole_file import write_whole
from pdsl.config.shipped import shipped_config, shipped_names
from pdsl.config.tree import Config

FREE = frozenset({"classes"})
"""A mapping with keys of the user's own: a file that has it replaces that of its base."""


def load_config(path: str | Path, overrides: Iterable[str | tuple[str, Any]] = ()) -> Config:
    """The configuration of YAML file `path` with its bases, under overrides: "optimizer.lr=0.02" or (key, value).

    Raises InputError that names the field, and the file where the fault lies in it.
    """
    typed = nest(parse_assignment(item) if isinstance(item, str) else item for item in overrides)
    layers = _read_layers(Path(path), (), more_bases=_paths(typed.pop("base", []), "base"))
    tree: dict[str, Any] = {}
    for _, layer in layers:
        tree = merge(tree, layer, whole=FREE)
    try:
        return replace(Config(), merge(tree, typed, whole=FREE))
    except InputError as error:
        if _fault(tree) is None or _fault(typed) == str(error):
            raise
        at_fault = next((file for file, layer in layers if _fault(layer) == str(error)), path)
        raise InputError(f"{at_fault}: {error}") from error


def config_from_plain(tree: Mapping[str, Any], where: str | Path) -> Config:
    """The configuration that a checkpoint or a run's config.yaml, at `where`, holds as plain values.

    Raises InputError for keys that this version does not know.
    """
    try:
        return replace(Config(), tree)
    except InputError as error:
        raise InputError(
            f"{where}: {error}; it was written by another version of this program: use that one, or train anew"
        ) from error


def save_config(config: Config, path: Path) -> None:
    """Write all fields, defaults included, as YAML."""
    write_whole(path, yaml.safe_dump(to_plain(config), sort_keys=False, width=120))


def _read_layers(
    path: Path, parents: tuple[Path, ...], more_bases: Sequence[str] = ()
) -> list[tuple[Path, dict[str, Any]]]:
    """(file, its own mapping) of the file's bases and of the file, each to be merged over those before it."""
    if path.resolve() in parents:
        raise InputError(f"{path}: base: the files name each other in a circle")
    tree = read_mapping(path, str(path), "of the configuration's keys", may_be_empty=True)
    layers = []
    for base in [*_paths(tree.pop("base", []), f"{path}: base"), *more_bases]:
        layers += _read_layers(_base(base, path), (*parents, path.resolve()))
    return [*layers, (path, tree)]


def _base(name: str, asker: Path) -> Path:
    """The file that `base: name` in file `asker` means: one of the user's, else one that ships with the program.

    A file never means itself: one called voc-official.yaml may say `base: voc-official.yaml`.
    """
    own = asker.parent / name
    if own.is_file() and own.resolve() != asker.resolve():
        return own
    if path := shipped_config(name):
        return path
    if own.exists():
        return own
    known = nearest(name.removesuffix(".yaml"), shipped_names())
    raise InputError(f"{asker}: base: {own}: can not be read, and none of that name ships with pdsl{known}")


def _paths(value: Any, where: str) -> list[str]:
    paths = [value] if isinstance(value, str) else value
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise InputError(f"{where}: expected a path or a list of paths, not {value!r}")
    return paths


def _fault(tree: Mapping[str, Any]) -> str | None:
    """What is wrong with the values of a file, or with overrides, by themselves."""
    try:
        replace(Config(), tree)
    except InputError as error:
        return str(error)
    return None
