"""Command-line options that several benchmarks share."""

import argparse
from pathlib import Path


def on_images(description: str | None, images: int | None, proposals: bool = True) -> argparse.ArgumentParser:
    """For benchmarks on images with truth: SPEC SPLIT [--images N], N all of them if None, [--proposals METHOD]."""
    parser = _parser(description)
    parser.add_argument("spec")
    parser.add_argument("split")
    parser.add_argument("--images", type=int, default=images)
    if proposals:
        parser.add_argument("--proposals", default="mcg", help="method of the proposals")
    return parser


def on_scenes(description: str | None) -> argparse.ArgumentParser:
    """For benchmarks that train on synthetic scenes: --out DIR [--train N --val N] [--workers N] [key=value …]."""
    parser = _parser(description)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train", type=int, default=400, help="training scenes")
    parser.add_argument("--val", type=int, default=200, help="scenes to evaluate on")
    parser.add_argument("--workers", type=int, default=2, help="processes of the offline stages")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="of configs/demo.yaml, for every run")
    return parser


def _parser(description: str | None) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
