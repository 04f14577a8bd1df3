"""Parameter dataclasses as a person reads them: every key with its type, its default and what its docstring says.

A class's docstring explains its fields in entries at the margin, `name: text` or `name, other: text`, whose further
lines are indented; what stands before the first entry is about the class.
"""

import dataclasses
import inspect
import re
import types
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from data.parameters import to_plain

ENTRY = re.compile(r"(?P<names>\w+(?:, \w+)*): (?P<text>.*)")


@dataclass(frozen=True)
class Option:
    """One key: dotted `name`, `kind` in words, `default`, and `text`, which is empty where nobody explained it."""

    name: str
    kind: str
    default: Any
    text: str

    @property
    def sentence(self) -> str:
        """What it is, in short: the first sentence."""
        return re.split(r"(?<!\bEq)(?<!\bFig)\.\s", self.text, maxsplit=1)[0].rstrip(".")


@dataclass(frozen=True)
class Group:
    """The keys of one dataclass, without those of the dataclasses in it. name: dotted, "" for the root."""

    name: str
    about: str
    options: tuple[Option, ...]


def list_groups(params: Any, name: str = "") -> Iterator[Group]:
    """The groups of dataclass instance `params` and of all within it, the outer ones first; values as defaults."""
    hints, texts = get_type_hints(type(params)), entries(type(params))
    options, inner = [], []
    for field in dataclasses.fields(params):
        value, key = getattr(params, field.name), f"{name}.{field.name}" if name else field.name
        if dataclasses.is_dataclass(value):
            inner.append((value, key))
        else:
            options.append(Option(key, kind_in_words(hints[field.name]), to_plain(value), texts.get(field.name, "")))
    yield Group(name, texts[""], tuple(options))
    for value, key in inner:
        yield from list_groups(value, key)


def entries(cls: type) -> dict[str, str]:
    """What the docstring of dataclass `cls` says of each field by name, and under "" of the class; each on one line."""
    fields = {field.name for field in dataclasses.fields(cls)}
    about: list[str] = []
    found: dict[str, list[str]] = {"": about}
    current = about
    for line in inspect.cleandoc(cls.__doc__ or "").splitlines():
        entry = ENTRY.match(line)
        names = entry["names"].split(", ") if entry else []
        if entry and fields.issuperset(names):
            current = [entry["text"]]
            found.update(dict.fromkeys(names, current))
        elif line.startswith(" ") or current is about:
            current.append(line.strip())
        else:
            current = []  # a paragraph that belongs to no field
    return {name: " ".join(filter(None, lines)) for name, lines in found.items()}


def kind_in_words(kind: Any) -> str:
    """A type as a person writes values of it: "int", "sgd | adamw", "list of int", "int or null".

    >>> kind_in_words(tuple[int, ...] | None)
    'list of int or null'
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is type(None):
        return "null"
    if origin is Literal:
        return " | ".join(map(str, arguments))
    if origin in (Union, types.UnionType):
        return " or ".join(map(kind_in_words, arguments))
    if origin is tuple:
        many = arguments[-1] is Ellipsis
        return f"list of {'' if many else f'{len(arguments)} '}{kind_in_words(arguments[0])}"
    if origin is dict:
        return f"mapping of {kind_in_words(arguments[0])} to {kind_in_words(arguments[1])}"
    return {"str": "text"}.get(kind.__name__, kind.__name__)


def value_text(value: Any) -> str:
    """A value as it is typed after `key=` and in YAML, on one line."""
    text: str = yaml.safe_dump(to_plain(value), default_flow_style=True, width=float("inf"), allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
