PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo photographs test test-slow test-services test-bare test-torch test-gpu lint format clean

demo: $(STAMP)
	$(BIN)/python cli.py demo --out demo

photographs: $(STAMP)  # make photographs DATA=VOCdevkit/VOC2007 [WEIGHTS=vgg16.pth] [QUICK=1]
	test -n "$(DATA)"  # the folder that holds JPEGImages
	$(BIN)/python cli.py photographs --data "$(DATA)" $(if $(WEIGHTS),--weights "$(WEIGHTS)") $(if $(QUICK),--quick)

test: lint
	$(BIN)/python -m pytest -m "not slow and not gpu"

test-slow: $(STAMP)  # minutes; what it needs of the machine is listed first
	$(BIN)/python -m tests.needs
	$(BIN)/python -m pytest -m "slow and not gpu"

test-services:  # as root on Debian: what test-slow starts (SLURM, SSH server, network namespaces)
	sh tests/services.sh

test-bare:  # `make test` in a fresh clone and environment, with nothing else in reach; BARE="--venv .venv" reuses this one
	$(PYTHON) tests/bare.py $(BARE)

test-torch:  # the trainer's tests with another torch: make test-torch TORCH=2.8.0 TORCHVISION=0.23.0
	test -n "$(TORCH)" -a -n "$(TORCHVISION)"  # both are to be given
	$(PYTHON) -m venv $(VENV)-torch-$(TORCH)
	sed '/^torch/d' constraints.txt > $(VENV)-torch-$(TORCH)/constraints.txt
	$(VENV)-torch-$(TORCH)/bin/python -m pip install --quiet --disable-pip-version-check \
	    -c $(VENV)-torch-$(TORCH)/constraints.txt torch==$(TORCH) torchvision==$(TORCHVISION) -e ".[dev]"
	$(VENV)-torch-$(TORCH)/bin/python -m pytest -m "not slow and not gpu" tests/config tests/evaluate tests/model tests/run \
	    tests/train tests/stages/test_contours.py

test-gpu:  # with the Python of the GPU box; needs no other packages than the trainer's, pytest and hypothesis
	$(PYTHON) -m pytest -m gpu
	$(PYTHON) -m benchmarks.trainer

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(VENV)-torch-* build dist *.egg-info

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@
