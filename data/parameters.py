"""Typed parameters from text: nested frozen dataclasses filled from mappings and `key=value` overrides.

Both halves use it: `--set` of the stages and the YAML configuration of the trainer. Unknown keys and values of a wrong
type are errors that name the field and suggest the nearest known one.
"""

import dataclasses
import math
import types
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from data.errors import InputError, nearest
from data.regular import open_regular
from data.yaml_text import decode_text, parse_yaml

T = TypeVar("T")


LARGEST_FILE = 1 << 24
"""Bytes of a file of settings."""


def read_mapping(path: str | Path, where: str, what: str, *, may_be_empty: bool = False) -> dict[str, Any]:
    """The mapping that YAML file `path` holds, {} if it is empty and may be.

    Raises InputError: `where` names the file, `what` what it maps.
    """
    try:
        with open_regular(path) as file:
            data = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte
        raise InputError(f"{where}: can not be read ({getattr(error, 'strerror', None) or error})") from error
    if len(data) > LARGEST_FILE:
        raise InputError(f"{where}: can not be read, it is larger than settings are")
    try:
        tree = parse_yaml(decode_text(data))
    except ValueError as error:
        raise InputError(f"{where}: can not be read, it is not valid YAML: {error}") from error
    if tree is None and may_be_empty:
        return {}
    if not isinstance(tree, dict):
        raise InputError(f"{where}: expected a mapping {what}, not {type(tree).__name__}")
    return tree


def parse_assignment(text: str) -> tuple[str, Any]:
    """`a.b=value` -> ("a.b", value); the value is read as YAML, so `1e-3`, `true`, `[1, 2]` and words all work.

    Raises InputError where there is no "=" or the value is not YAML.
    """
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise InputError(f"'{text}' is not of the form key=value")
    try:
        return key.strip(), parse_yaml(value)
    except ValueError as error:
        raise InputError(f"{key.strip()}: '{value:.60}' can not be read as a value ({error})") from error


def nest(assignments: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """[("a.b", 1), ("c", 2)] -> {"a": {"b": 1}, "c": 2}; later assignments win."""
    tree: dict[str, Any] = {}
    for key, value in assignments:
        *parents, leaf = key.split(".")
        node = tree
        for parent in parents:
            child = node.setdefault(parent, {})
            if not isinstance(child, dict):
                raise InputError(f"{key}: '{parent}' was already given a plain value")
            node = child
        node[leaf] = value
    return tree


def merge(below: Mapping[str, Any], above: Mapping[str, Any], *, whole: Collection[str] = ()) -> dict[str, Any]:
    """Nested mappings laid over each other; `above` wins. whole: keys whose mappings are replaced, not merged.

    >>> merge({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
    {'a': {'b': 1, 'c': 3}}
    """
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        if isinstance(old, Mapping) and isinstance(value, Mapping) and key not in whole:
            value = merge(old, value, whole=whole)
        merged[key] = value
    return merged


def replace(params: T, values: Mapping[str, Any], where: str = "") -> T:
    """A copy of dataclass `params` with `values` (nested mappings for nested dataclasses) put in and type-checked.

    `where` is the dotted prefix for messages. Raises InputError for unknown keys (with a suggestion), values of a wrong
    type, and whatever ValueError the dataclass's own __post_init__ raises.
    """
    changes = _changes(params, values, where, replace)
    try:
        return dataclasses.replace(params, **changes)  # type: ignore[type-var]
    except ValueError as error:
        raise InputError(f"{where + ': ' if where else ''}{error}") from error


def replace_plain(params: Any, values: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """As `to_plain(replace(params, values))`, but every key by itself: rules between keys are not asked.

    For configurations that are not whole yet, as where a file of weights is still to be named.
    """
    return {**to_plain(params), **to_plain(_changes(params, values, where, replace_plain))}


def _changes(
    params: Any, values: Mapping[str, Any], where: str, inner: Callable[[Any, Mapping[str, Any], str], Any]
) -> dict[str, Any]:
    """Field -> new value, type-checked; `inner` makes those of nested dataclasses."""
    hints = get_type_hints(type(params))
    known = {f.name for f in dataclasses.fields(params) if f.init}
    changes: dict[str, Any] = {}
    for raw, value in values.items():
        key = str(raw).replace("-", "_")
        path = f"{where}.{raw}" if where else str(raw)
        if key not in known:
            raise InputError(f"unknown key '{path}'{_meant(key, params, where) or nearest(key, known)}")
        current = getattr(params, key)
        if dataclasses.is_dataclass(current) and not isinstance(current, type):
            if not isinstance(value, Mapping):
                raise InputError(f"{path}: expected a mapping of keys, not {value!r}")
            changes[key] = inner(current, value, path)
        else:
            changes[key] = convert(value, hints[key], path)
    return changes


def _meant(key: str, params: Any, where: str) -> str:
    """A hint where `key` alone was given of a dotted name below `params`; "" where there is none."""
    ends = [name for name in leaves(params) if name.rpartition(".")[2] == key]
    return f"; did you mean {' or '.join(repr(f'{where}.{name}' if where else name) for name in ends)}?" if ends else ""


def leaves(params: Any) -> Iterator[str]:
    """Dotted names of all values in nested dataclasses: "optimizer.lr"."""
    for field in dataclasses.fields(params):
        value = getattr(params, field.name)
        if dataclasses.is_dataclass(value):
            yield from (f"{field.name}.{name}" for name in leaves(value))
        elif field.init:
            yield field.name


def convert(value: Any, kind: Any, path: str) -> Any:
    """`value` as type `kind`: int, float, bool, str, None, Literal, union, tuple or dict of these; else InputError."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if isinstance(value, int) and value.bit_length() > 1024:  # no type holds it, and Python refuses to write it out
        raise InputError(f"{path}: the number is too large; it has {value.bit_length()} bits")
    if origin is Literal:
        if value in arguments:
            return value
        raise InputError(f"{path}: {value!r} is not one of {', '.join(map(repr, arguments))}")
    if origin in (Union, types.UnionType):
        return _convert_union(value, arguments, path)
    if origin is tuple and isinstance(value, list | tuple):
        kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
        if len(kinds) != len(value):
            raise InputError(f"{path}: expected {len(kinds)} values, not {len(value)}")
        return tuple(convert(v, k, f"{path}[{i}]") for i, (v, k) in enumerate(zip(value, kinds, strict=True)))
    if origin is tuple:
        raise InputError(f"{path}: {value!r:.60} is not a list; write [{value!s:.60}]")
    if origin is dict and isinstance(value, Mapping):
        return {convert(k, arguments[0], path): convert(v, arguments[1], f"{path}.{k}") for k, v in value.items()}
    if kind is bool and isinstance(value, bool):
        return value
    if kind is int and isinstance(value, int) and not isinstance(value, bool):
        if abs(value) >= 2**63:
            raise InputError(f"{path}: the number is too large; expected one below 2^63")
        return value
    if kind is float and not isinstance(value, bool):
        return _finite(value, path)
    if kind is str and isinstance(value, str | int | float) and not isinstance(value, bool):
        return _text(value, path)
    if kind is type(None) and value is None:
        return None
    raise InputError(f"{path}: {value!r} is not of type {getattr(kind, '__name__', kind)}")


def _text(value: str | float, path: str) -> str:
    """`value` as text that may name a file."""
    text = str(value)
    if "\0" in text:
        raise InputError(f"{path}: {text!r:.60} holds a zero byte; remove it")
    return text


def _finite(value: Any, path: str) -> float:
    """`value` as a finite number: no option means anything by infinity or NaN, and a training with one is lost."""
    try:
        number = float(value)  # YAML 1.1 reads "1e-3" as a word
    except (TypeError, ValueError):
        raise InputError(f"{path}: {value!r:.60} is not of type float") from None
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InputError(f"{path}: {value!r:.60} is not a finite number")
    return number


def _convert_union(value: Any, kinds: tuple[Any, ...], path: str) -> Any:
    for kind in kinds:
        try:
            return convert(value, kind, path)
        except InputError:
            continue
    names = " or ".join(getattr(kind, "__name__", str(kind)) for kind in kinds)
    raise InputError(f"{path}: {value!r} is not of type {names}")


def to_plain(params: Any) -> Any:
    """A dataclass as plain dicts and lists, ready for YAML and JSON."""
    if dataclasses.is_dataclass(params) and not isinstance(params, type):
        return {f.name: to_plain(getattr(params, f.name)) for f in dataclasses.fields(params)}
    if isinstance(params, list | tuple):
        return [to_plain(v) for v in params]
    if isinstance(params, Mapping):
        return {k: to_plain(v) for k, v in params.items()}
    return params
