"""Reading and writing the trainer's configuration.

A file may name others by `base:` (a path or a list of paths, relative to the file); they are merged first, in order.
On the command line `base=PATH` adds one more to the file's list: `base=backbone/resnet50-ws.yaml`.
Every key is checked: an unknown one is an InputError that suggests the nearest known one.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from data.errors import InputError
from data.parameters import nest, parse_assignment, replace, to_plain
from pdsl.config.tree import Config


def load_config(path: str | Path, overrides: Iterable[str | tuple[str, Any]] = ()) -> Config:
    """The configuration of YAML file `path` with its bases, under overrides: "optimizer.lr=0.02" or (key, value).

    Raises InputError that names the field, and the file where the fault lies in it.
    """
    typed = nest(parse_assignment(item) if isinstance(item, str) else item for item in overrides)
    tree = _read_tree(Path(path), (), more_bases=_paths(typed.pop("base", []), "base"))
    try:
        return replace(Config(), _merge(tree, typed))
    except InputError as error:
        if typed and _fault(tree) != str(error):
            raise
        raise InputError(f"{path}: {error}") from error


def config_from_plain(tree: Mapping[str, Any]) -> Config:
    """The configuration that a checkpoint or a run's config.yaml holds as plain values."""
    return replace(Config(), tree)


def save_config(config: Config, path: Path) -> None:
    """Write all fields, defaults included, as YAML."""
    path.write_text(yaml.safe_dump(to_plain(config), sort_keys=False, width=120))


def _read_tree(path: Path, parents: tuple[Path, ...], more_bases: Sequence[str] = ()) -> dict[str, Any]:
    """The file's mapping merged over those of its bases."""
    if path.resolve() in parents:
        raise InputError(f"{path}: base: the files name each other in a circle")
    try:
        tree = yaml.safe_load(path.read_text())
    except OSError as error:
        asker = f"{parents[-1]}: base: " if parents else ""
        raise InputError(f"{asker}{path}: can not be read ({error.strerror}); name an existing YAML file") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not YAML ({error})") from error
    if tree is None:
        tree = {}
    if not isinstance(tree, dict):
        raise InputError(f"{path}: has to hold a mapping of keys, not {type(tree).__name__}")
    merged: dict[str, Any] = {}
    for base in [*_paths(tree.pop("base", []), f"{path}: base"), *more_bases]:
        merged = _merge(merged, _read_tree(path.parent / base, (*parents, path.resolve())))
    return _merge(merged, tree)


def _paths(value: Any, where: str) -> list[str]:
    paths = [value] if isinstance(value, str) else value
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise InputError(f"{where}: expected a path or a list of paths, not {value!r}")
    return paths


def _fault(tree: Mapping[str, Any]) -> str | None:
    """What is wrong with a configuration file by itself."""
    try:
        replace(Config(), tree)
    except InputError as error:
        return str(error)
    return None


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` over `below`; mappings are merged key by key, except the free-form `classes`, which is replaced."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and key != "classes":
            merged[key] = _merge(old, value)
        else:
            merged[key] = value
    return merged
