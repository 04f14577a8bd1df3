"""The identity of a stage in a store: what must be equal for its results to be continued."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from store.documents import group_document
from store.layout import ArrayLayout, array_documents
from store.shards import checksum

DOCUMENTS = "documents"
"""Attribute of a group: checksum of each of its arrays' documents, by object key."""


def group_of(stage: str) -> str:
    """The group in the store of a stage by name: "iou-graph" -> "iou_graph"."""
    return stage.replace("-", "_")


@dataclass(frozen=True)
class StageIdentity:
    """Attributes of a stage's group.

    stage, version, params, source: from `pipeline.spec.Stage`. upstream: group -> fingerprint of the stages it read.
    packages: versions of the distributions that matter. source_path: where `source` lay, for repairs.
    """

    stage: str
    version: int
    params: Mapping[str, Any]
    source: str | None
    upstream: Mapping[str, str]
    packages: Mapping[str, str]
    source_path: str | None = None

    @property
    def group(self) -> str:
        """The stage's group in the store."""
        return group_of(self.stage)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that decides the results; package versions and paths are not part of it."""
        parts = {k: v for k, v in asdict(self).items() if k not in ("packages", "source_path")}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def attributes(self) -> dict[str, Any]:
        """As stored."""
        return {**asdict(self), "fingerprint": self.fingerprint}

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any]) -> "StageIdentity":
        """The inverse of `attributes`; older stores keep the path in a mapping `recipe`."""
        fields = {k: v for k, v in attributes.items() if k not in ("fingerprint", "recipe", DOCUMENTS)}
        return cls(**{"source_path": attributes.get("recipe", {}).get("proposals_from"), **fields})

    def differences(self, stored: "StageIdentity", *, packages: bool = True) -> list[str]:
        """Fields in which this identity differs from the stored one: "params.method: 'mcg' stored, 'files' now"."""
        skipped = {"source_path"} if packages else {"source_path", "packages"}
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
    """As JSON gives it back."""
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


def stage_documents(identity: StageIdentity, layouts: Sequence[ArrayLayout]) -> dict[str, bytes]:
    """zarr.json of a stage's arrays and, last, of its group, which knows the checksums of the others; by object key."""
    documents = array_documents(layouts)
    checksums = {key: checksum(document) for key, document in documents.items()}
    group = group_document({**identity.attributes(), DOCUMENTS: checksums})
    return {**documents, f"{identity.group}/zarr.json": group}
