"""A check of the installation, made by the rooms that import torchvision (`pdsl.model`, `pdsl.evaluate`)."""

from data.errors import InputError

CURE = (
    "install the matching pair from the ordinary index: pip install torch==2.11.0 torchvision==0.26.0 "
    "(the CPU-only torch wheel lacks what torchvision's operators are linked against)"
)


def check_torchvision() -> None:
    """Raise InputError with the cure if torchvision's compiled operators do not work beside this torch."""
    try:
        import torch
        import torchvision

        kept = torchvision.ops.nms(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.ones(1), 0.5)
    except (ImportError, RuntimeError, AttributeError) as error:
        raise InputError(f"torchvision: its operators do not work here ({error}); {CURE}") from error
    if kept.tolist() != [0]:
        raise InputError(f"torchvision: nms gives a wrong result; {CURE}")
