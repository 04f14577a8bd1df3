#!/bin/sh
# From a folder of photographs with image-level labels to masks, and to a Mask R-CNN that has learnt from them.
#
#   sh photos.sh PHOTOS WORK [OPTION ...]     e.g. photos.sh photos work --minutes 60
#
# PHOTOS holds labels.csv. WORK is filled, and continued where it was interrupted; a pdsl.yaml that lies there is kept.
# Options are those of train_mask_rcnn.py. In the environment:
#   WEIGHTS   file of VGG16's ImageNet weights, for pdsl and for the Mask R-CNN (`pdsl weights` says where to get it)
#   TRAINING  words for `pdsl train` (default: the configuration `photographs`, an evening on two cores)
#   STAGES    settings of the stages (default: those that go with it)
#   PDSL, PYTHON   the programs (default: pdsl, python3)
set -eu
photos=$(cd "$1" && pwd)
work=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
PDSL=${PDSL:-pdsl}
TRAINING=${TRAINING:---config photographs features.cache=features}
STAGES=${STAGES:---set proposals.max_proposals=500 --set grabcut.seeds=all}
if [ -z "${WEIGHTS:-}" ]; then
    echo "WEIGHTS: name the file of VGG16's ImageNet weights; pdsl weights says where to get it" >&2
    exit 2
fi
if [ -f "$WEIGHTS" ]; then WEIGHTS=$(cd "$(dirname "$WEIGHTS")" && pwd)/$(basename "$WEIGHTS"); fi
images=$photos
if [ -d "$photos/images" ]; then images=$photos/images; fi
# shellcheck disable=SC2086 # the program may be several words
pdsl() { $PDSL "$@"; }

mkdir -p "$work"
cd "$work"
[ -e pdsl.yaml ] || pdsl init --data "folder:$photos" --train all --val all
# shellcheck disable=SC2086 # these are several words
pdsl precompute --stage all $STAGES
pdsl status
pdsl inspect --random 16 --out what-training-sees.png
if [ -e runs/default/config.yaml ]; then
    pdsl train --resume
else
    # shellcheck disable=SC2086
    pdsl train $TRAINING "model.backbone.weights=$WEIGHTS"
fi
pdsl export --out labels.json
"${PYTHON:-python3}" "$here/train_mask_rcnn.py" --labels labels.json "$images" --out mask-rcnn \
    --backbone vgg16 --weights "$WEIGHTS" --predict "folder:$photos" all "$@"
