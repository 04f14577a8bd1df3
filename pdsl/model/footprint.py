"""What a model would take of a machine's memory, before any of it is taken: everything is built and run on torch's meta
device, where tensors have shapes and no contents. So it holds for every option of the configuration, whatever it does.
"""

import contextlib
import math
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psutil
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from data.errors import InputError
from data.parameters import leaves, nest, replace, to_plain
from pdsl.config.model import ModelConfig

MOST_TENSORS = 2_000
"""Weights and biases of a model; the largest of the papers' has 400."""
MOST_OPERATIONS = 50_000
"""After so many of an update its memory is not followed further."""

T = TypeVar("T")
Assemble = Callable[[ModelConfig], nn.Module]


class TooLargeError(Exception):
    """More than was allowed."""


def refuse_large_weights(config: ModelConfig, assemble: Assemble, copies: int = 1, memory: int | None = None) -> None:
    """Raises InputError if weights alone, `copies` times, do not fit into `memory` bytes (default: of this machine).

    assemble: puts a model of a configuration together, on torch's default device. copies: 1 for the model; training
    has gradients and moments as well.
    """
    memory = psutil.virtual_memory().total if memory is None else memory
    if weight_bytes(config, assemble, memory // copies) is None:

        def fits(other: ModelConfig) -> bool:
            return weight_bytes(other, assemble, memory // copies) is not None

        what = "weights" if copies == 1 else "weights, gradients and moments"
        raise InputError(
            f"{cause(config, fits, 'model.')}: the {what} of this model take more than the {memory / 1e9:.0f} GB of "
            f"memory there is, or are more than {MOST_TENSORS} tensors; give smaller numbers"
        )


def weight_bytes(config: ModelConfig, assemble: Assemble, most: float) -> int | None:
    """Bytes of a model's weights; None if they are more than `most`, or more than `MOST_TENSORS` tensors."""
    total = tensors = 0

    def count(module: nn.Module, name: str, parameter: Tensor | None) -> None:
        nonlocal total, tensors
        if parameter is not None and parameter.is_meta:
            total, tensors = total + parameter.numel() * parameter.element_size(), tensors + 1
            if total > most or tensors > MOST_TENSORS:
                raise TooLargeError

    hook = register_module_parameter_registration_hook(count)
    try:
        with torch.device("meta"):
            assemble(config)
    except (TooLargeError, OverflowError, RuntimeError, TypeError) as error:
        if not counts_too_far(error):
            raise
        return None
    finally:
        hook.remove()
    return total


def counts_too_far(error: Exception) -> bool:
    """Whether an error says that something has more elements than was allowed, or than torch can count."""
    return isinstance(error, TooLargeError | OverflowError) or "overflow" in str(error).lower()


def cause(config: T, fits: Callable[[T], bool], prefix: str = "", among: tuple[str, ...] = ("",)) -> str:
    """The key, with its value, that makes a configuration too large: the first whose default makes it fit, those tried
    first that are the most times their defaults. Where it takes several, the first of them.

    prefix: written before each key. among: beginnings of the keys that count.
    """
    usual = type(config)()
    excess = {name: _excess(_value(config, name), _value(usual, name)) for name in leaves(config)}
    names = sorted((n for n in excess if excess[n] > 1 and n.startswith(among)), key=lambda n: -excess[n])
    if not names:
        return prefix.rstrip(".") or "model"
    shown = names[0]
    for name in names:
        with contextlib.suppress(InputError):  # the default does not go with the other values
            if fits(replace(config, nest([(name, to_plain(_value(usual, name)))]))):
                shown = name
                break
    return f"{prefix}{shown}={to_plain(_value(config, shown))}"


def is_larger(value: Any, usual: Any) -> bool:
    """Whether a setting asks for more than its default does; null is no limit."""
    return _excess(value, usual) > 1


def _excess(value: Any, usual: Any) -> float:
    """How many times its default a setting is; 0 for what is no number."""
    if isinstance(value, tuple) and isinstance(usual, tuple):
        return max((_excess(a, b) for a, b in zip(sorted(value), sorted(usual), strict=False)), default=0.0)
    if isinstance(usual, bool) or not isinstance(usual, int | float) or isinstance(value, bool | str):
        return 0.0
    return math.inf if value is None else float(value) / max(float(usual), 1e-9)


def _value(config: Any, name: str) -> Any:
    for part in name.split("."):
        config = getattr(config, part)
    return config


@contextmanager
def following(most: float) -> Iterator["PeakMemory"]:
    """Within the block tensors are made on the meta device, their bytes counted; raises TooLargeError beyond `most`."""
    peak = PeakMemory(most)
    with torch.device("meta"), peak:
        yield peak


class PeakMemory(TorchDispatchMode):
    """peak: most bytes that tensors held at a time, of those made since this mode began."""

    def __init__(self, most: float) -> None:
        super().__init__()
        self.peak = 0
        self._most, self._now, self._operations = most, 0, 0
        self._held: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = operation(*args, **(kwargs or {}))
        self._operations += 1
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor):
                self._hold(tensor.untyped_storage())
        if self.peak > self._most or self._operations > MOST_OPERATIONS:
            raise TooLargeError
        return made

    @property
    def is_too_large(self) -> bool:
        """Whether memory, and not the number of operations, ended it."""
        return self.peak > self._most

    def _hold(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self._held:
            return

        def released(_: object) -> None:
            self._held.pop(key, None)
            self._now -= size

        self._held[key] = weakref.ref(storage, released)
        self._now += size
        self.peak = max(self.peak, self._now)
