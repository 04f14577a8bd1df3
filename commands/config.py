"""`config`: the keys of the configuration, explained and compared."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import fill
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from data.errors import InputError, nearest
from data.options import Group, Option, list_groups, value_text
from pdsl.config.load import plain_config
from pdsl.config.shipped import find_config, shipped_names
from pdsl.config.tree import Config
from pdsl.run.names import CONFIG
from stages.settings import setting_defaults

PIPED = 120
"""Columns where the output is no terminal."""


@dataclass(frozen=True)
class _Part:
    """Keys that are set in the same way: `how`, with one blank for `key=value`."""

    title: str
    how: str
    groups: tuple[Group, ...]


def run(*, key: str | None, diff: tuple[str, str] | None) -> int:
    """List every key; or explain `key`, or list those below or like it; or print where the two of `diff` differ.

    diff: names of shipped configurations, YAML files or run folders. Raises InputError for an unknown key or name.
    """
    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPED
    if diff:
        console.print(_difference(*diff))
        return 0
    parts = _parts()
    lines = _listing(parts) if key is None else _found(parts, key)
    for indent, line in lines:
        print(fill(line, console.width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False))
    return 0


def complete_key(typed: str, *, assignment: bool = False) -> list[str]:
    """Keys and groups that begin with `typed`, for a shell; with `assignment` keys of training alone, each with "="."""
    training, *stages = _parts()
    if assignment:
        return [f"{o.name}=" for group in training.groups for o in group.options if o.name.startswith(typed)]
    groups = [group for part in (training, *stages) for group in part.groups]
    names = [name for group in groups for name in (group.name, *(o.name for o in group.options))]
    return [name for name in dict.fromkeys(names) if name and name.startswith(typed)]


def _parts() -> tuple[_Part, _Part]:
    settings = tuple(group for name, params in setting_defaults() for group in list_groups(params, name))
    return (
        _Part("Training", "pdsl train {}", tuple(list_groups(Config()))),
        _Part("Offline stages", "pdsl precompute --stage all --set {}", settings),
    )


def _listing(parts: tuple[_Part, ...]) -> Iterator[tuple[str, str]]:
    """(indent, line) of all keys with a sentence each."""
    for part in parts:
        yield "", f"{part.title}: {part.how.format('KEY=VALUE')}"
        yield "", ""
        for group in part.groups:
            yield from _group(group)
            yield "", ""
    yield "", "`pdsl config KEY` says more of one. Training keys stand in YAML files (--config) and in pdsl.yaml, too."


def _group(group: Group) -> Iterator[tuple[str, str]]:
    yield "", f"{group.name}: {group.about}" if group.name else group.about
    for option in group.options:
        yield "  ", f"{option.name} = {value_text(option.default)}   ({option.kind})"
        yield "      ", option.sentence


def _found(parts: tuple[_Part, ...], key: str) -> Iterator[tuple[str, str]]:
    """(indent, line) about `key`: one key, a group of keys, or all that have it in their names."""
    wanted = key.partition("=")[0].strip().removesuffix(".").replace("-", "_")
    exact = [(part, g, o) for part in parts for g in part.groups for o in g.options if _plain(o.name) == wanted]
    if exact:
        for part, group, option in exact:
            yield from _explained(part, group, option)
        return
    groups = [g for part in parts for g in part.groups if f"{_plain(g.name)}.".startswith(f"{wanted}.")]
    like = groups or [
        replace(g, options=options)
        for part in parts
        for g in part.groups
        if (options := tuple(o for o in g.options if wanted in _plain(o.name)))
    ]
    if not like:
        known = [o.name for part in parts for g in part.groups for o in g.options]
        raise InputError(f"unknown key '{key}'{_near(wanted, known)} (`pdsl config` lists all)")
    for group in like:
        yield from _group(group)


def _plain(name: str) -> str:
    return name.replace("-", "_")


def _near(word: str, known: list[str]) -> str:
    """The nearest key, by its whole name or by its last part; "" if none is near, as the list of all is long."""
    ends = {name.rpartition(".")[2]: name for name in reversed(known)}
    for names in (known, list(ends)):
        hint = nearest(word, names)
        if "did you mean" in hint:
            found = hint.split("'")[1]
            return f"; did you mean '{ends.get(found, found)}'?"
    return ""


def _explained(part: _Part, group: Group, option: Option) -> Iterator[tuple[str, str]]:
    """All that is known of one key."""
    yield "", f"{option.name} = {value_text(option.default)}   ({option.kind})"
    yield "    ", option.text
    if group.name:
        yield "    ", f"Belongs to {group.name}: {group.about}"
    if part.title == "Training":
        for name, value in _shipped_values(option):
            yield "    ", f"In {name}: {value_text(value)}"
    example = "VALUE" if option.default in (None, {}) else value_text(option.default)
    yield "    ", f"Set it: {part.how.format(f'{option.name}={example}')}"


def _shipped_values(option: Option) -> Iterator[tuple[str, Any]]:
    """(name, value) of the shipped configurations that have another value than the default."""
    for name in shipped_names():
        value = _flat(plain_config(find_config(name)))[option.name]
        if value != option.default:
            yield name, value


def _difference(first: str, second: str) -> Table | Text:
    """A table of the keys whose values differ."""
    left, right = (_flat(plain_config(_file(name))) for name in (first, second))
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for title in ("key", first, second):
        table.add_column(Text(title), overflow="fold")
    for key in left:
        if left[key] != right[key]:
            table.add_row(*(Text(text) for text in (key, value_text(left[key]), value_text(right[key]))))
    return table if table.row_count else Text(f"{first} and {second}: no key differs")


def _file(name: str) -> str:
    """A configuration's file by name, path or run folder."""
    run = Path(name) / CONFIG
    return str(run) if run.is_file() else find_config(name)


def _flat(tree: Mapping[str, Any], above: str = "") -> dict[str, Any]:
    """Dotted key -> value; `classes` is a value as a whole."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        name = f"{above}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, Mapping) and name != "classes" else {name: value}
    return flat
