"""Where a report comes from: when, where and with what it was made."""

import platform
import re
import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

import pdsl
from pdsl.config.model import SCRATCH
from pdsl.evaluate.evaluation import Evaluation
from pdsl.evaluate.protocols import PROTOCOLS

PACKAGES = ("torch", "torchvision", "numpy", "pycocotools")
PROGRAM = re.compile(r"(^|[/\\])(pdsl(\.exe)?|cli\.py|pdsl[/\\]__main__\.py)$")
_PASSWORD, _QUERY = re.compile(r"(://)[^/@\s]*@"), re.compile(r"(://[^?\n]*)\?[^\s'\"]+")


def facts(
    evaluation: Evaluation, run: Path | None, config: Mapping[str, Any], log: Sequence[Mapping[str, Any]]
) -> list[tuple[str, str]]:
    """(name, value) in the order of the page; what is not known is left out.

    run, config, log: folder, configuration and log of the run that is evaluated, as far as there are any.
    """
    metrics, images = evaluation.metrics, evaluation.dataset.images
    step = metrics.get("step")
    protocol = metrics["protocol"]
    listed = [
        ("Data", f"{images.spec} {images.split}: {len(images):,} images, {metrics['mask_images']:,} with masks"),
        ("Protocol", f"{protocol}: {PROTOCOLS[protocol].meaning}" if protocol else ""),
        ("Detections", f"from {metrics['results']}" if "results" in metrics else _looked(evaluation)),
        ("Run", "" if run is None else str(run.resolve()) + (f", after {step:,} updates" if step is not None else "")),
        ("Weights", _beginning(config)),
        ("Training", _training(config, log)),
        ("Made", f"{time.strftime('%Y-%m-%d %H:%M %z')} on {platform.node() or 'a host without a name'}"),
        ("Took", "" if evaluation.seconds is None else duration(evaluation.seconds) + f" on {_device(config)}"),
        ("Command", command(sys.argv)),
        ("Versions", _versions()),
    ]
    return [(name, without_secrets(value)) for name, value in listed if value]


def duration(seconds: float) -> str:
    """A length of time in words.

    >>> duration(7.2), duration(487), duration(7500)
    ('7 s', '8 min 7 s', '2 h 5 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def command(argv: Sequence[str]) -> str:
    """The command line; "" where the program was not started by its own command."""
    return shlex.join(["pdsl", *argv[1:]]) if PROGRAM.search(argv[0]) else ""


def _looked(evaluation: Evaluation) -> str:
    """How many there are and how they were found."""
    metrics = evaluation.metrics
    views = "several scales and mirrored views (test-time augmentation)" if metrics.get("tta") else "one view"
    failed = f"; {len(metrics['failed']):,} images could not be looked at" if metrics.get("failed") else ""
    return f"{metrics['detections']:,}, of {views} of each image{failed}"


def _beginning(config: Mapping[str, Any]) -> str:
    """What weights the run began with."""
    backbone = (config.get("model") or {}).get("backbone") or {}
    if not backbone:
        return ""
    weights = backbone.get("weights")
    with_what = str(weights) if weights not in (None, SCRATCH) else "random weights"
    first = f"the model of {config['init']}; before it " if config.get("init") else ""
    return f"training began with {first}{backbone['name']} with {with_what}; frozen: {backbone['freeze']}"


def _training(config: Mapping[str, Any], log: Sequence[Mapping[str, Any]]) -> str:
    """Updates and the time they took, by the rates in the log."""
    per_step = (config.get("optimizer") or {}).get("images_per_step")
    rated = [entry for entry in log if entry.get("images_per_second")]
    if not per_step or not rated:
        return ""
    before, seconds = 0, 0.0
    for entry in rated:
        seconds += (entry["step"] - before) * per_step / entry["images_per_second"]
        before = entry["step"]
    rate = before * per_step / seconds
    return f"{before:,} updates of {per_step} images, some {duration(seconds)} at {rate:.3g} images a second"


def _device(config: Mapping[str, Any]) -> str:
    if torch.cuda.is_available() and config.get("device") != "cpu":
        return torch.cuda.get_device_name()
    return f"a CPU ({platform.machine()}, threads: {torch.get_num_threads()})"


def _versions() -> str:
    def of(package: str) -> str:
        try:
            return f"{package} {version(package)}"
        except PackageNotFoundError:
            return ""

    packages = [name for name in map(of, PACKAGES) if name]
    return ", ".join([f"pdsl {pdsl.__version__}", f"Python {platform.python_version()}", *packages, platform.system()])


def without_secrets(text: str) -> str:
    """Without what stands in addresses to sign in: a report is passed on."""
    return _QUERY.sub(r"\1?…", _PASSWORD.sub(r"\1…@", text))
