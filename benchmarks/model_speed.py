"""Proposal branch: 2,000 proposals x 512 x 7 x 7 through two layers of 4096; all at once, in chunks, compiled.

    python -m benchmarks.model_speed                  # on the GPU if there is one, in bf16
    python -m benchmarks.model_speed --proposals 200  # a taste on a CPU, in float32

Forward and backward pass of RoIPool, both layers with dropout and all detection heads; time per pass and peak memory
above what the weights and gradients take. Each variant starts from the same weights and random numbers; the largest
difference of its gradient from that of `plain` is printed too.
"""

import argparse
import gc
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn

from pdsl.config.model import BoxHeadConfig
from pdsl.model.backbone import FeatureMap
from pdsl.model.heads import BoxHead, RefinementHead, TwoStreamHead, detection_heads


class ProposalBranch(nn.Module):
    """Box head, two-stream head and four refinement heads, reduced to one number."""

    def __init__(self, channels: int, n_classes: int, config: BoxHeadConfig) -> None:
        super().__init__()
        self.box_head = BoxHead(channels, config)
        width = config.hidden[-1]
        self.two_stream = TwoStreamHead(width, n_classes)
        self.refinement = nn.ModuleList(RefinementHead(width, n_classes, regression=True) for _ in range(4))

    def forward(self, features: FeatureMap, box: Tensor, dropout: Tensor) -> Tensor:
        x = self.box_head(features, box, box.new_zeros(len(box)), dropout)
        valid = torch.ones(len(box), dtype=torch.bool, device=box.device)
        score, refined = detection_heads(x, torch.ones_like(box[:, 0]), valid, self.two_stream, list(self.refinement))
        return score.square().sum() + refined.logit.square().mean() + refined.delta.square().mean()


def make_inputs(args: argparse.Namespace, device: torch.device, dtype: torch.dtype) -> tuple[FeatureMap, Tensor]:
    """A trainable feature map of an image of `--side` pixels and random boxes in it."""
    generator = torch.Generator().manual_seed(0)
    cells = args.side // 8
    features = torch.randn(1, args.channels, cells, cells, generator=generator).to(device, dtype).requires_grad_()
    corner = torch.rand(args.proposals, 2, generator=generator) * args.side * 0.6
    extent = torch.rand(args.proposals, 2, generator=generator) * args.side * 0.4 + 16
    box = torch.cat([corner, corner + extent], 1).to(device)
    return FeatureMap(features, (args.side, args.side), 1 / 8), box


def measure(
    branch: ProposalBranch, run: Callable[..., Tensor], args: argparse.Namespace, device: torch.device
) -> tuple[float, float, Tensor]:
    """Median seconds and peak GiB of a forward and backward pass, and the gradient of the first layer."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    features, box = make_inputs(args, device, dtype)
    for parameter in branch.parameters():
        parameter.grad = torch.zeros_like(parameter)
    seconds = []
    for repeat in range(args.warmup + args.repeats):
        generator = torch.Generator(device).manual_seed(0)
        branch.zero_grad(set_to_none=False)
        if device.type == "cuda":
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            held = torch.cuda.memory_allocated()
        start = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = run(features, box, branch.box_head.draw(len(box), generator, device))
        loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        if repeat >= args.warmup:
            seconds.append(time.perf_counter() - start)
    peak = (torch.cuda.max_memory_allocated() - held) / 2**30 if device.type == "cuda" else float("nan")
    gradient = branch.box_head.fc1.weight.grad
    assert gradient is not None
    return sorted(seconds)[len(seconds) // 2], peak, gradient.float().cpu()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--proposals", type=int, default=2000)
    parser.add_argument("--channels", type=int, default=512)
    parser.add_argument("--hidden", type=int, nargs=2, default=(4096, 4096))
    parser.add_argument("--classes", type=int, default=20)
    parser.add_argument("--side", type=int, default=800, help="side of the image in pixels")
    parser.add_argument("--chunks", type=int, nargs="*", default=(1000, 500, 250))
    parser.add_argument("--warmup", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--no-compile", action="store_true")
    args = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    config = BoxHeadConfig(hidden=tuple(args.hidden))
    variants: dict[str, tuple[BoxHeadConfig, bool]] = {"plain": (config, False)}
    variants |= {f"chunks of {size}": (replace(config, chunk=size), False) for size in args.chunks}
    if not args.no_compile:
        variants["torch.compile"] = (config, True)
    print(
        f"{args.proposals} proposals x {args.channels} x 7 x 7 -> {args.hidden[0]} -> {args.hidden[1]}, "
        f"{device.type}, torch {torch.__version__}"
    )
    reference = None
    for name, (settings, compiled) in variants.items():
        torch.manual_seed(0)
        branch = ProposalBranch(args.channels, args.classes, settings).to(device).train()
        run: Callable[..., Tensor] = torch.compile(branch) if compiled else branch
        seconds, peak, gradient = measure(branch, run, args, device)
        reference = gradient if reference is None else reference
        difference = (gradient - reference).abs().max() / reference.abs().max()
        print(f"{name:16s} {1e3 * seconds:8.1f} ms  {peak:6.2f} GiB  gradient differs by {difference:.1e}", flush=True)
        del branch, run
        gc.collect()


if __name__ == "__main__":
    main()
