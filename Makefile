# Pilotlight. `make help` lists what there is.

CLOUD ?=
PORT ?= 8080
ONCE ?=
UPGRADE ?=
PYTHON ?= python3

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
SAMPLE := examples/breast-cancer
RUN_CLOUD := $(or $(CLOUD),aws)

.DEFAULT_GOAL := help
.PHONY: help run test check format build sample lock clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  CLOUD=aws|gcp chooses the cloud, PORT=8080 where run listens, ONCE=1 ends run after the first answer.'

# uv comes first, by its hash, and installs the rest from uv.lock.
$(UV): tools/bootstrap.txt
	@echo 'Setting up: a virtual environment in $(VENV) with uv in it'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tools/bootstrap.txt
	@touch $@

$(VENV)/.run: $(UV) pyproject.toml uv.lock
	@echo 'Setting up: the command pilotlight and the local runtimes'
	@$(UV) sync --frozen --inexact --no-default-groups
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo 'Setting up: what the tests and checks need'
	@$(UV) sync --frozen --inexact
	@touch $@

run: $(VENV)/.run  ## Serve the pinned model in its real local runtime and send it the sample request
	@$(BIN)/pilotlight serve --cloud $(RUN_CLOUD) --port $(PORT) $(if $(ONCE),--once)

test: $(VENV)/.dev  ## Run the tests
	@$(BIN)/python -m pytest $(ARGS)

check: $(VENV)/.dev  ## Check format, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

format: $(VENV)/.dev  ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

build: $(VENV)/.run  ## Put the deployable packages together in build/aws and build/gcp
	@$(BIN)/pilotlight build $(if $(CLOUD),--cloud $(CLOUD))

sample: $(VENV)/.dev  ## Train the sample model again and pin it
	@$(BIN)/python $(SAMPLE)/train.py
	@rm -rf build/sample-store
	@$(BIN)/pilotlight publish $(SAMPLE)/model.onnx --name breast-cancer --store file://$(CURDIR)/build/sample-store \
		--signature $(SAMPLE)/signature.json --golden $(SAMPLE)/golden.json
	@$(BIN)/pilotlight pin breast-cancer --store file://$(CURDIR)/build/sample-store
	@$(BIN)/python tools/make_events.py

lock: $(VENV)/.run  ## Resolve uv.lock and the function folders' requirements.lock again; UPGRADE=1 takes the newest
	@$(UV) lock $(if $(UPGRADE),--upgrade)
	@$(BIN)/python tools/lock_platform.py $(if $(UPGRADE),--upgrade)

clean:  ## Remove what was built and installed
	@rm -rf build $(VENV)
