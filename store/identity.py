"""The identity of a stage in a store: what must be equal for its results to be continued."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any


@dataclass(frozen=True)
class StageIdentity:
    """Attributes of a stage's group.

    stage, version, params, source: from `pipeline.spec.Stage`. upstream: group -> fingerprint of the stages it read.
    packages: versions of the distributions that matter. recipe: how the commands built the stage (for repair).
    """

    stage: str
    version: int
    params: Mapping[str, Any]
    source: str | None
    upstream: Mapping[str, str]
    packages: Mapping[str, str]
    recipe: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that decides the results; package versions and recipe are not part of it."""
        parts = {k: v for k, v in asdict(self).items() if k not in ("packages", "recipe")}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def attributes(self) -> dict[str, Any]:
        """As stored."""
        return {**asdict(self), "fingerprint": self.fingerprint}

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> "StageIdentity":
        """The inverse of `attributes`."""
        return cls(**{k: v for k, v in attributes.items() if k != "fingerprint"})

    def differences(self, stored: "StageIdentity", *, packages: bool = True) -> list[str]:
        """Fields in which this identity differs from the stored one: "params.method: 'mcg' stored, 'files' now"."""
        skipped = {"recipe"} if packages else {"recipe", "packages"}
        now = dict(_flat({k: v for k, v in asdict(self).items() if k not in skipped}))
        was = dict(_flat({k: v for k, v in asdict(stored).items() if k not in skipped}))
        missing = "nothing"
        return [
            f"{name}: {_short(was.get(name, missing))} stored, {_short(now.get(name, missing))} now"
            for name in dict.fromkeys([*was, *now])
            if was.get(name, missing) != now.get(name, missing)
        ]


def package_versions(names: tuple[str, ...]) -> dict[str, str]:
    """Installed version of each distribution; "missing" where there is none."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _short(value: Any) -> str:
    text = value if value == "nothing" else repr(value)
    return text if len(text) <= 40 else f"{text[:18]}…{text[-18:]}"
