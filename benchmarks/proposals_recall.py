"""Recall of proposals against COCO objects, boxes and masks, with CPU seconds per image.

    python -m benchmarks.proposals_recall IMAGES ANNOTATIONS.json [--method selective-search] [--set mode=fast]

Runs the stage's own function image by image in this process, on one thread; no store. Mask recall needs `mcg`.
"""

import argparse
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from pycocotools.coco import COCO

from data.boxes import pairwise_iou, xywh_to_xyxy
from data.decode import decode_image
from data.masks import paste, unpack
from data.parameters import parse_assignment
from data.records import ImageRecord
from pipeline.spec import StageInput
from stages.proposals.stage import proposals_stage

NUMBERS = (2000, 1000, 500, 100)
THRESHOLDS = (0.5, 0.7, 0.85)


def best_mask_iou(truth: np.ndarray, boxes: np.ndarray, masks: np.ndarray, overlap: np.ndarray) -> np.ndarray:
    """Mask IoU of one object (H, W) bool with each proposal: (n,). Only the 20 of highest box IoU are pasted."""
    found = np.zeros(len(boxes))
    for k in np.argsort(-overlap)[:20]:
        mask = paste(unpack(masks[k]), boxes[k], truth.shape)
        found[k] = (mask & truth).sum() / max((mask | truth).sum(), 1)
    return found


def summary(overlaps: list[np.ndarray], areas: np.ndarray) -> str:
    """Recall at each threshold over all objects, and over those whose box has at least 32^2 pixels."""
    best = np.array(overlaps)
    parts = []
    for name, rows in (("all", np.ones(len(best), bool)), (">= 32^2", areas >= 32 * 32)):
        recalls = " / ".join(f"{(best[rows] > t).mean():.3f}" for t in THRESHOLDS)
        parts.append(f"{name}: {recalls}  mean {best[rows].mean():.3f}")
    return "   ".join(parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("--method", default="mcg")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="settings of the stage")
    parser.add_argument("--every", type=int, default=1, help="use every n-th image")
    parser.add_argument("--offset", type=int, default=0)
    parser.add_argument("--masks", action="store_true", help="mask recall as well")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    settings = {"method": args.method, **dict(parse_assignment(s) for s in args.set)}
    stage = proposals_stage({**settings, "masks": True} if args.masks else settings)
    coco = COCO(str(args.annotations))
    boxes_best: dict[int, list[float]] = {k: [] for k in NUMBERS}
    masks_best: dict[int, list[float]] = {k: [] for k in NUMBERS}
    areas, seconds, counts = [], [], []
    for image_id in sorted(coco.imgs)[args.offset :: args.every]:
        path = args.images / coco.imgs[image_id]["file_name"]
        image = decode_image(path.read_bytes(), exif=False)
        start = time.process_time()
        rows = stage.compute(StageInput(ImageRecord(str(image_id), str(path), image.shape[:2], ()), image))
        seconds.append(time.process_time() - start)
        count = int(rows["proposals/count"])
        counts.append(count)
        boxes = rows["proposals/box"][:count].astype(float)
        for annotation in coco.imgToAnns[image_id]:
            x, y, w, h = annotation["bbox"]
            if annotation.get("iscrowd") or w <= 0 or h <= 0:
                continue
            areas.append(w * h)
            overlap = pairwise_iou(xywh_to_xyxy(np.array([[x, y, w, h]])), boxes)[0]
            for k in NUMBERS:
                boxes_best[k].append(overlap[:k].max())
            if args.masks:
                truth = coco.annToMask(annotation).astype(bool)
                mask_overlap = best_mask_iou(truth, boxes, rows["proposals/mask"], overlap)
                for k in NUMBERS:
                    masks_best[k].append(mask_overlap[:k].max())
    print(f"{settings}: {len(seconds)} images, {len(areas)} objects, recall at IoU {' / '.join(map(str, THRESHOLDS))}")
    for k in NUMBERS:
        print(f"boxes, first {k:4d}  {summary(boxes_best[k], np.array(areas))}")
        if args.masks:
            print(f"masks, first {k:4d}  {summary(masks_best[k], np.array(areas))}")
    print(f"proposals {np.mean(counts):.0f}; CPU s/image: median {np.median(seconds):.3f}")


if __name__ == "__main__":
    main()
