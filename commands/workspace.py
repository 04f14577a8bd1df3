"""A folder with a `pdsl.yaml`: what the commands use where the user gave no option."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from commands.workspace_text import workspace_text
from data.catalog import JOINT
from data.errors import InputError, nearest
from data.files import is_url
from data.parameters import convert, merge, read_mapping
from data.yaml_text import parse_yaml
from pdsl.config.shipped import find_config
from pdsl.run.names import CONFIG, WORKSPACE

FILE = WORKSPACE


@dataclass(frozen=True)
class Workspace:
    """The settings of `pdsl.yaml`, or none (`values` empty) where the folder has no such file."""

    values: Mapping[str, Any]

    @classmethod
    def find(cls, folder: Path | None = None) -> "Workspace":
        """Read `pdsl.yaml` in `folder` (default: the current one). InputError if it is not valid."""
        path = (folder or Path.cwd()) / FILE
        if not path.exists():
            return cls({})
        values = read_mapping(path, str(path), "of keys (`pdsl init` writes an example)", may_be_empty=True)
        _check_kinds(values, parse_yaml(workspace_text(data="", train="", val="", config="")), path)
        return cls(values)

    def _need(self, value: Any, key: str, option: str) -> Any:
        """`value` if the user gave one, else the workspace's `key` ("a.b" looks into a mapping)."""
        if value:
            return value
        found: Any = self.values
        for part in key.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        if not found:
            lack = f"{FILE} has no '{key}'" if self.values else f"there is no {FILE} here (`pdsl init` writes one)"
            raise InputError(f"{option}: not given, and {lack}")
        return found

    def stores(self, store: str | None) -> list[str]:
        """The store the user named, or those of the workspace that exist so far (all of them if none does)."""
        if store:
            return [store]
        urls = list(dict.fromkeys([self.train_store(None), self.val_store(None)]))
        return [url for url in urls if is_url(url) or Path(url).exists()] or urls

    def train_store(self, store: str | None) -> str:
        return str(self._need(store, "stores.train", "--store"))

    def val_store(self, store: str | None) -> str:
        """That of the evaluation split: the training split's where no other is named or the splits are the same."""
        train, val = self._splits
        own = self._store_names.get("val") and not (train and train == val and self._store_names.get("train"))
        return str(self._need(store, "stores.val" if own else "stores.train", "--store"))

    @property
    def _splits(self) -> tuple[str | None, str | None]:
        return self.values.get("train_split"), self.values.get("val_split")

    @property
    def _store_names(self) -> Mapping[str, Any]:
        return self.values.get("stores") or {}

    @property
    def _one_store_of_two(self) -> bool:
        """Whether one store holds two splits, each a part of it."""
        train, val = self._splits
        url = self._store_names.get("train")
        return bool(train and val and train != val and url) and self._store_names.get("val") in (None, url)

    @property
    def learnt_from(self) -> tuple[str, str] | None:
        """(data, split) of the images in such a store that need all stages; the others need proposals alone."""
        data, split = self.values.get("data"), self.values.get("train_split")
        return (str(data), str(split)) if data and self._one_store_of_two else None

    def run_folder(self, run: str | None) -> str:
        return str(self._need(run, "run", "--run"))

    def precompute_jobs(self, settings: Mapping[str, Any], **options: Any) -> list[dict[str, Any]]:
        """Keyword arguments of one or two `precompute` runs.

        Without --split: the stage asked for on the training split, and proposals on the evaluation split; of one store
        for both in one run.
        """
        base = dict(options, settings=merge(self.values.get("stages") or {}, settings))
        base["data"] = self._need(options["data"], "data", "--data")
        if not isinstance(options["workers"], int) and not options["scheduler"] and not options["cluster"]:
            base["scheduler"], base["cluster"] = self.values.get("scheduler"), self.values.get("cluster")
        base["proposals_from"] = options["proposals_from"] or self._proposals_from(base["settings"])
        if options["split"] or options["store"] or not self.values:
            split = self._need(options["split"], "train_split", "--split")
            return [dict(base, split=split, store=self._store_of(split, options["store"]))]
        split = self._need(None, "train_split", "--split")
        train, other = dict(base, split=split, store=self.train_store(None)), self.values.get("val_split")
        if self._one_store_of_two:
            both = dict(train, split=f"{split}{JOINT}{other}")
            return [both if options["images"] else dict(both, learnt_from=split)]
        if not other or other == split or options["images"]:
            return [train]
        return [train, dict(base, split=other, store=self.val_store(None), stage="proposals")]

    def _store_of(self, split: str, store: str | None) -> str:
        """The store the user named, or else the workspace's for such a split."""
        return self.val_store(store) if split == self.values.get("val_split") else self.train_store(store)

    def check_options(self, **options: Any) -> dict[str, Any]:
        """Keyword arguments of `check`. Without a SPEC: the workspace's data set, splits and proposals."""
        if options["data"]:
            return options
        named = [self.values.get("train_split"), self.values.get("val_split")]
        return {
            "data": self._need(None, "data", "SPEC"),
            "splits": options["splits"] or [split for split in dict.fromkeys(named) if split],
            "proposals_from": options["proposals_from"] or self._proposals_from(self.values.get("stages") or {}),
        }

    def _proposals_from(self, settings: Mapping[str, Any]) -> str | None:
        """`proposals_from:`, unless the settings say that proposals are to be computed."""
        from stages.proposals.params import FROM_FILES

        method = (settings.get("proposals") or {}).get("method", FROM_FILES[0])
        return self.values.get("proposals_from") if method in FROM_FILES else None

    def train_options(self, **options: Any) -> dict[str, Any]:
        """Keyword arguments of `train`. A run that is continued knows its own configuration and stores."""
        out = options["out"] or self.values.get("run")
        known = bool(options["resume"] and out) and (Path(str(out)) / CONFIG).exists()
        given = options["config"]
        config = given if known else self._need(given, "config", "--config")
        training = [] if known else [*self._parts_of_one_store(options), *self._training()]
        return {
            "config": find_config(config) if config else None,
            "stores": list(options["stores"]) or ([] if known else [self.train_store(None)]),
            "out": self._need(options["out"], "run", "--out"),
            "resume": options["resume"],
            "init": options["init"],
            "settings": training,
            "overrides": list(options["overrides"]),
            "data": options["data"],
            "split": options["split"],
            "validation_store": self.val_store(None) if any(self._store_names.values()) else None,
            "in_workspace": bool(self.values),
        }

    def _parts_of_one_store(self, options: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """Options of training by which it takes its split, and validation another, from one store: those that this file
        names now. Not of stores that the user names."""
        if not self._one_store_of_two:
            return
        named = {word.partition("=")[0] for word in options["overrides"]} | {key for key, _ in self._training()}
        for group, split, other in zip(
            ("data", "validation"), self._splits, (options["stores"], "validation.store" in named), strict=True
        ):
            if not other:
                yield from ((f"{group}.split", split), (f"{group}.images", self._need(None, "data", "--data")))

    def _training(self) -> list[tuple[str, Any]]:
        """`training:` as (dotted key, value): "a.b: 1" and "a: {b: 1}" say the same."""
        return list(_flat(self.values.get("training") or {}))

    def eval_options(self, **options: Any) -> dict[str, Any]:
        """Keyword arguments of `evaluate`: with --results neither run nor store is needed."""
        filled = self._truth_options(options)
        if not options["results"]:
            filled.update(self._model_options(options))
        return filled

    def export_options(self, **options: Any) -> dict[str, Any]:
        """Keyword arguments of `export`: by default the training split, which is what one wants to label."""
        filled = dict(options, run=self.run_folder(options["run"]))
        filled["data"] = self._need(options["data"], "data", "--data")
        filled["split"] = self._need(options["split"], "train_split", "--split")
        filled["store"] = self.train_store(options["store"])
        return filled

    def predict_options(self, **options: Any) -> dict[str, Any]:
        """Keyword arguments of `predict --split`."""
        filled = dict(options, run=self.run_folder(options["run"]))
        filled["data"] = self._need(options["data"], "data", "--data")
        seen = options["split"] == self.values.get("train_split")
        filled["store"] = self.train_store(options["store"]) if seen else self.val_store(options["store"])
        return filled

    def _truth_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        data = self._need(options["data"], "data", "--data")
        return dict(options, data=data, split=self._need(options["split"], "val_split", "--split"))

    def _model_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        store = self.val_store(options["store"])
        return {"run": self.run_folder(options["run"]), "store": store}


def _flat(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of every leaf; `classes` is a value as a whole, as its keys may have dots."""
    for key, value in tree.items():
        name = f"{above}{key}"
        if isinstance(value, Mapping) and name != "classes":
            yield from _flat(value, f"{name}.")
        else:
            yield name, value


def _check_kinds(values: Mapping[str, Any], template: Mapping[str, Any], path: Path, above: str = "") -> None:
    """Raises InputError for a key that the template lacks, for a name where it has a mapping and the other way round,
    and where YAML takes a name for a number, a date or a truth value: 2012, 1e3, no."""
    for key, value in values.items():
        name = f"{above}{key}"
        if key not in template:
            raise InputError(f"{path}: unknown key '{name}'{nearest(str(key), template)}")
        if isinstance(template[key], Mapping):
            if value is not None and not isinstance(value, Mapping):
                raise InputError(f"{path}: {name}: expected a mapping of keys, not {value!r:.60}")
            if template[key] and value:
                _check_kinds(value, template[key], path, f"{name}.")
        elif isinstance(value, str):
            convert(value, str, f"{path}: {name}")
        elif value is not None:
            kind = type(value).__name__
            raise InputError(f"{path}: {name}: {value!r:.60} is read as {kind}, not as a name; put it in quotes")
