"""Classes by name: of several stores joined into one run, and of a run found again in a data set."""

from collections.abc import Mapping, Sequence

from data.errors import InputError, nearest
from data.records import ImageList


def map_class_names(names: Sequence[str], classes: Mapping[str, str | None]) -> list[str | None]:
    """What the run calls each of a data set's classes; None = dropped. ("*" is not resolved here: it needs all stores.)

    Raises InputError where two classes would get the same name.
    """
    mapped = [classes.get(name, name) for name in names]
    kept = [name for name in mapped if name is not None]
    for name in kept:
        if kept.count(name) > 1:
            sources = [n for n, m in zip(names, mapped, strict=True) if m == name]
            raise InputError(f"classes: {' and '.join(sources)} would both be '{name}'; map each to a name of its own")
    return mapped


def join_classes(
    names: Sequence[Sequence[str]], urls: Sequence[str], classes: Mapping[str, str | None]
) -> list[list[str | None]]:
    """For each store what the run calls its classes, None = dropped.

    A class that one store knows and another does not would be taken for absent in the other's images: that is refused,
    unless `classes` maps "*" to null, which drops it.
    """
    unknown = set(classes) - {"*"} - {name for part in names for name in part}
    if unknown:
        first = min(unknown)
        raise InputError(
            f"classes: no store has a class '{first}'{nearest(first, {n for part in names for n in part})}"
        )
    if classes.get("*", None) is not None:
        raise InputError(f"classes: '*' can only be mapped to null, not to '{classes['*']}'")
    joined = [map_class_names(part, classes) for part in names]
    common = set.intersection(*({n for n in part if n is not None} for part in joined))
    if "*" in classes:
        joined = [[name if name in common else None for name in part] for part in joined]
    for url, part in zip(urls, joined, strict=True):
        extra = sorted({name for name in part if name is not None} - common)
        if extra:
            raise InputError(
                f"classes: {url} has {', '.join(extra)}, other stores have not; map each to the others' name for it "
                "or to null, or map '*' to null to keep only what all have"
            )
    if not common:
        raise InputError("classes: no class is left; see the mapping `classes:`")
    return joined


def class_ids(class_names: Sequence[str], images: ImageList, classes: Mapping[str, str | None]) -> list[int | None]:
    """For each class of a model its id in `images`, by name under the run's `classes:`; None where the images lack it.

    Raises InputError if they share no class.
    """
    names = map_class_names(images.class_names, classes)
    ids = [names.index(name) if name in names else None for name in class_names]
    if all(class_id is None for class_id in ids):
        raise InputError(
            f"{images.spec}: has none of the model's classes ({', '.join(class_names[:5])} …); "
            "use the data set it was trained for, or map the names with `classes:` in the run's configuration"
        )
    return ids


def require_same_classes(trained: Sequence[str], stores: Sequence[str], where: str) -> None:
    """Raises InputError, beginning with `where`, unless a checkpoint's classes are those of the stores, in order."""
    if tuple(trained) != tuple(stores):
        raise InputError(
            f"{where}: trained on the classes {', '.join(trained)}; the stores have {', '.join(stores)}; "
            "take the same stores or map the names with `classes:`"
        )
