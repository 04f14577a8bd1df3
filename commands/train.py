"""`train`: learn from precomputed stores into a run folder."""

import os
import sys
from pathlib import Path
from typing import Any

from data.errors import InputError
from pipeline.parameters import nest, parse_assignment


def run(
    *,
    config: str | None,
    stores: list[str],
    out: str,
    resume: bool,
    init: str | None,
    overrides: list[str],
    data: str | None,
) -> int:
    """Train, or with `resume` continue what lies in `out` (begin if nothing does). Returns the exit status.

    config: YAML file; a resumed run takes its own config.yaml instead. overrides: "key=value". data: SPEC where the
    images lie now. Status 0 after the last update, 128 + signal if SIGINT or SIGTERM ended the run after a checkpoint.
    """
    from pdsl.environment import check_torchvision

    check_torchvision()
    from pdsl.config import load_config
    from pdsl.train.loop import train
    from pdsl.train.run_folder import CONFIG, resumed_config

    changes = [*(parse_assignment(text) for text in overrides), *_options(stores, init, data)]
    folder = Path(out)
    if resume and (folder / CONFIG).exists():
        settled = resumed_config(folder, nest(changes))
    elif config is None:
        raise InputError("--config: name a YAML file, for example configs/voc-paper.yaml")
    else:
        settled = load_config(config, changes)
    outcome = train(settled, folder, resume=resume)
    if not outcome.signal:
        return 0
    if int(os.environ.get("RANK", "0")) == 0:
        print(f"stopped after update {outcome.step}; continue with: train --out {out} --resume", file=sys.stderr)
    return 128 + outcome.signal


def _options(stores: list[str], init: str | None, data: str | None) -> list[tuple[str, Any]]:
    """The command line's own options as configuration values."""
    values: dict[str, Any] = {"data.stores": stores, "init": init, "data.images": data}
    return [(key, value) for key, value in values.items() if value]
