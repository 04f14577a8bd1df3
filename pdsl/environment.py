"""A check of the installation, made by the rooms that import torchvision (`pdsl.model`, `pdsl.evaluate`)."""

from importlib.metadata import PackageNotFoundError, version

from data.errors import InputError

NEEDED = "it needs a torch from 2.6 on and the torchvision that was built for it"
SAME_INDEX = "both from the same index (a CPU-only torch lacks what the ordinary torchvision is linked against)"


def check_torchvision() -> None:
    """Raise InputError with the cure if torchvision's compiled operators do not work beside this torch."""
    try:
        import torch
        import torchvision

        kept = torchvision.ops.nms(torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.ones(1), 0.5)
    except (ImportError, RuntimeError, AttributeError) as error:
        raise InputError(f"torchvision: its operators do not work here ({error}); {cure()}") from error
    if kept.tolist() != [0]:
        raise InputError(f"torchvision: nms gives a wrong result; {cure()}")


def cure() -> str:
    """What to install, by the version of torch that is there: torch 2.N goes with torchvision 0.(N + 15)."""
    try:
        major, minor, patch = version("torch").partition("+")[0].split(".")[:3]
        pair = f"torch==2.{minor}.{patch} torchvision==0.{int(minor) + 15}.{patch}" if major == "2" else ""
    except (PackageNotFoundError, ValueError):
        pair = ""
    return f"{NEEDED}; install {SAME_INDEX}: pip install {pair or 'torch torchvision'}"
