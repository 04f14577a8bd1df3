"""Plain values from YAML that a user wrote, whatever stands in it."""

from typing import Any

import yaml

DEEPEST = 50
"""Levels of nesting; no setting needs more, and deeper ones would end in a RecursionError somewhere."""
LARGEST = 100_000
"""Values, those that an alias repeats counted again: a few lines of aliases can stand for more than memory holds."""


def decode_text(data: bytes) -> str:
    """Text of a file: UTF-8, or UTF-16 with its byte-order mark, which is dropped; other bytes are a ValueError."""
    utf16 = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    try:
        return data.decode("utf-16" if utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start} is no {'UTF-16' if utf16 else 'UTF-8'} text") from error


def parse_yaml(text: str) -> Any:
    """The values of one YAML document, None for an empty one.

    Raises ValueError, a reason of one line, for broken YAML, a key given twice, values within themselves, and more
    levels or values than settings have.
    """
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, (), {})
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except (TypeError, AttributeError, OverflowError) as error:  # a key that is a list, a date that is none
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _count(node: yaml.Node, above: tuple[int, ...], counted: dict[int, int]) -> int:
    """Values that a node stands for. above: the nodes around it; counted: of nodes that were met before."""
    if id(node) in above:
        raise ValueError(f"{_line(node)}: a value that contains itself")
    if len(above) > DEEPEST:
        raise ValueError("it is nested too deeply")
    if id(node) not in counted:
        children: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            _refuse_twice(node)
            children = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            children = node.value
        counted[id(node)] = 1 + sum(_count(child, (*above, id(node)), counted) for child in children)
        if counted[id(node)] > LARGEST:
            raise ValueError(f"{_line(node)}: more than {LARGEST} values")
    return counted[id(node)]


def _refuse_twice(node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            if (key.tag, key.value) in seen:
                raise ValueError(f"{_line(key)}: '{key.value:.60}' is given twice")
            seen.add((key.tag, key.value))


def _line(node: yaml.Node) -> str:
    return f"line {node.start_mark.line + 1}"
