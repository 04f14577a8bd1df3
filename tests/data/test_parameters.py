"""Typed parameters from text."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from data.errors import InputError
from data.parameters import nest, parse_assignment, replace, to_plain


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1
    steps: tuple[int, ...] = (1, 2)

    def __post_init__(self) -> None:
        if self.rate < 0:
            raise ValueError("rate must not be negative")


@dataclass(frozen=True)
class Outer:
    name: str = "a"
    count: int = 1
    flag: bool = False
    kind: Literal["x", "y"] = "x"
    limit: int | None = None
    classes: dict[str, str] = field(default_factory=dict)
    inner: Inner = Inner()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("count=3", Outer(count=3)),
        ("flag=true", Outer(flag=True)),
        ("kind=y", Outer(kind="y")),
        ("limit=5", Outer(limit=5)),
        ("limit=null", Outer()),
        ("name=7", Outer(name="7")),
        ("inner.rate=1e-3", Outer(inner=Inner(rate=0.001))),
        ("inner.rate=2", Outer(inner=Inner(rate=2.0))),
        ("inner.steps=[4, 5, 6]", Outer(inner=Inner(steps=(4, 5, 6)))),
        ("classes={aeroplane: airplane}", Outer(classes={"aeroplane": "airplane"})),
    ],
)
def test_values_take_the_type_of_their_field(text: str, expected: Outer) -> None:
    assert replace(Outer(), nest([parse_assignment(text)])) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cuont=3", "unknown key 'cuont'; did you mean 'count'"),
        ("inner.rat=3", "unknown key 'inner.rat'; did you mean 'rate'"),
        ("count=1.5", "count: 1.5 is not of type int"),
        ("count=true", "count: True is not of type int"),
        ("flag=1", "flag: 1 is not of type bool"),
        ("kind=z", "kind: 'z' is not one of 'x', 'y'"),
        ("limit=a", "limit: 'a' is not of type int or NoneType"),
        ("inner=3", "inner: expected a mapping"),
        ("inner.rate=-1", "inner: rate must not be negative"),
        ("inner.steps=[a]", r"inner.steps\[0\]: 'a' is not of type int"),
        ("count", "is not of the form key=value"),
        ("count=[", "can not be read as a value"),
        ("count=" + "[" * 5000, "count: .* can not be read as a value .*nested too deeply"),
        ("count=2020-13-45", "count: .* can not be read as a value"),
        ("count=" + "9" * 5000, "count: '9{60}' can not be read as a value"),
        ("count=0x" + "f" * 5000, "count: the number is too large"),
        ("limit=0x" + "f" * 5000, "limit: "),
        ("kind=0x" + "f" * 5000, "kind: the number is too large"),
        ("name=0x" + "f" * 5000, "name: the number is too large"),
        ("inner.rate=0x" + "f" * 5000, r"inner\.rate: the number is too large"),
        ("inner.steps=3", r"inner.steps: 3 is not a list; write \[3\]"),
        ("inner.rate=[1]", r"inner\.rate: \[1\] is not of type float"),
        ('name="a\\0b"', "name: .* holds a zero byte"),
        ("inner={rate: 1, rate: 2}", "inner: .* 'rate' is given twice"),
    ],
)
def test_wrong_input_names_the_field(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(Outer(), nest([parse_assignment(text)]))


def test_later_assignments_win_and_dashes_are_underscores() -> None:
    assert nest([("a.b", 1), ("a.c", 2), ("a.b", 3)]) == {"a": {"b": 3, "c": 2}}
    assert replace(Outer(), {"inner": {"ra-te".replace("-", ""): 1.0}}).inner.rate == 1.0


def test_a_plain_value_can_not_become_a_branch() -> None:
    with pytest.raises(InputError, match="'a' was already given"):
        nest([("a", 1), ("a.b", 2)])


def test_to_plain_and_back() -> None:
    params = Outer(count=4, inner=Inner(steps=(9,)))
    plain = to_plain(params)
    assert plain["inner"] == {"rate": 0.1, "steps": [9]}
    assert replace(Outer(), plain) == params


@dataclass(frozen=True)
class Numbers:
    rate: float = 1.0
    count: int = 1
    maybe: float | None = None


@pytest.mark.parametrize("text", [".inf", "-.inf", ".nan", "inf", "nan", "1e999", "9" * 400])
@pytest.mark.parametrize("key", ["rate", "maybe"])
def test_numbers_have_to_be_finite(key: str, text: str) -> None:
    with pytest.raises(InputError, match=rf"^{key}: "):
        replace(Numbers(), dict([parse_assignment(f"{key}={text}")]))


def test_whole_numbers_have_to_fit() -> None:
    with pytest.raises(InputError, match=r"^count: the number is too large"):
        replace(Numbers(), {"count": 10**400})
