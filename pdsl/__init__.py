"""PDSL: weakly supervised instance segmentation, from Python.

    >>> import pdsl
    >>> trained = pdsl.load_trained("runs/default")                      # doctest: +SKIP
    >>> found = pdsl.predict_image(trained, image, box, score)           # doctest: +SKIP

The names below are loaded when they are first asked for: `import pdsl` alone does not import torch.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pdsl.config.load import load_config
    from pdsl.config.tree import Config
    from pdsl.evaluate.evaluation import Evaluation, evaluate_model
    from pdsl.evaluate.evaluation_set import EvaluationSet, read_evaluation_set
    from pdsl.evaluate.infer import predict_image
    from pdsl.evaluate.predictions import Prediction
    from pdsl.run.trained import TrainedModel, load_trained

__all__ = [
    "Config",
    "Evaluation",
    "EvaluationSet",
    "Prediction",
    "TrainedModel",
    "__version__",
    "evaluate_model",
    "load_config",
    "load_trained",
    "predict_image",
    "read_evaluation_set",
]

_HOMES = {
    "Config": "pdsl.config.tree",
    "Evaluation": "pdsl.evaluate.evaluation",
    "EvaluationSet": "pdsl.evaluate.evaluation_set",
    "Prediction": "pdsl.evaluate.predictions",
    "TrainedModel": "pdsl.run.trained",
    "evaluate_model": "pdsl.evaluate.evaluation",
    "load_config": "pdsl.config.load",
    "load_trained": "pdsl.run.trained",
    "predict_image": "pdsl.evaluate.infer",
    "read_evaluation_set": "pdsl.evaluate.evaluation_set",
}

try:
    __version__ = version("pdsl")
except PackageNotFoundError:  # run from a checkout that is not installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pdsl' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
