# Pilotlight. `make help` lists the targets.

CLOUD ?=
EVENT ?= events/http-api-v2-predict.json
PORT ?= 8080
ONCE ?=
UPGRADE ?=
ENV ?=
FROM ?=
BASE ?=
YES ?=
ARGS ?=
COVERAGE ?=
WORKERS ?= 4
PYTHON ?= python3

VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
SAMPLE := examples/breast-cancer
PILOTLIGHT := $(BIN)/pilotlight -C $(SAMPLE)
RUN_CLOUD := $(or $(CLOUD),aws)
CHECKERS := .venv-checkers
TRANSLATION := build/translation

# SAM CLI stays offline: no telemetry, no credentials, one attempt where it tries to use some.
SAM := env -u AWS_PROFILE SAM_CLI_TELEMETRY=0 AWS_MAX_ATTEMPTS=1 AWS_DEFAULT_REGION=us-east-1 AWS_ACCESS_KEY_ID=none \
	AWS_SECRET_ACCESS_KEY=none $(BIN)/sam

.DEFAULT_GOAL := help
.PHONY: help run test check validate format build dist image bench bench-quick bench-publish container invoke start-api deploy-aws deploy-gcp proto sample lock clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  CLOUD=aws|gcp selects the cloud, PORT=8080 the port of run and start-api, ONCE=1 ends run after the first response.'
	@echo '  FROM=s3://... or gs://... is a store to copy the pinned version from, YES=1 skips the confirmation of a deployment.'

# pip installs uv, pinned by its hash; uv installs the rest from uv.lock.
$(UV): tools/bootstrap.txt
	@echo 'Setting up: a virtual environment in $(VENV) with uv in it'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r tools/bootstrap.txt
	@touch $@

$(VENV)/.run: $(UV) pyproject.toml uv.lock
	@echo 'Setting up: the command pilotlight and the local runtimes'
	@$(UV) sync --quiet --frozen --inexact --no-default-groups --extra local
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo 'Setting up: the dependencies of tests and checks'
	@$(UV) sync --quiet --frozen --inexact --extra local
	@touch $@

run: $(VENV)/.run  ## Serve the sample's model in the cloud's local runtime and send it a request
	@$(PILOTLIGHT) serve --cloud $(RUN_CLOUD) --port $(PORT) $(if $(ONCE),--once)

# Tests that measure times run first, alone; if one fails (exit code 1), the others run anyway. Those mostly wait for
# processes that they start, so there may be more workers than processors. COVERAGE=1 holds them against the floor in
# pyproject.toml, and `coverage report` then lists the files; tracing each line took Python 3.11 from 26 to 59 s for
# tests/unit/model, so that it is not the rule.
test: $(VENV)/.dev  ## Run all tests in WORKERS=4 processes; ARGS="tests/unit -k decode" runs a selection in one
ifdef ARGS
	@$(BIN)/python -m pytest $(ARGS)
else
	@$(BIN)/python -m pytest -m alone; status=$$?; test $$status -le 1 || exit $$status; \
	$(BIN)/python -m pytest -m 'not alone' -n $(WORKERS) --dist loadfile --durations=10 $(if $(COVERAGE),--cov --cov-report=) && exit $$status
endif

check: $(VENV)/.dev  ## Check format, lint and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

$(CHECKERS)/.done: $(UV) tools/checkers.txt
	@echo 'Setting up: checkov and check-jsonschema in $(CHECKERS)'
	@$(UV) venv --quiet --clear --python $(BIN)/python $(CHECKERS)
	@$(UV) pip install --quiet --python $(CHECKERS) --require-hashes -r tools/checkers.txt
	@touch $@

# The templates, their translation for each start mode, and what GitHub reads; all offline. checkov skips: reserved
# concurrency (115), a queue for failures (116) and a VPC (117), since the API throttles and waits for each answer, and
# parameters are for the rest; keys of one's own for logs (158) and variables (173), which have no body and no secret.
CHECKOV := $(CHECKERS)/bin/checkov --skip-download --quiet --compact
validate: $(VENV)/.run $(CHECKERS)/.done  ## Check AWS templates, their translation, the Dockerfile, Kubernetes manifests, the Compose file, workflows and issue forms
	@$(SAM) validate --lint --template template.yaml
	@$(SAM) validate --lint --template bootstrap.yaml
	@$(BIN)/python tools/translate.py $(TRANSLATION)
	@$(BIN)/cfn-lint template.yaml bootstrap.yaml deploy/aws/*.yaml
	@# W2001: the translation contains the deployment type and no longer uses the parameter. W3002: the nested stacks' paths.
	@$(BIN)/cfn-lint --ignore-checks W2001 W3002 -- $(TRANSLATION)/*.json
	@$(CHECKOV) --framework cloudformation --skip-check CKV_AWS_115,CKV_AWS_116,CKV_AWS_117,CKV_AWS_158,CKV_AWS_173 \
		--file template.yaml bootstrap.yaml deploy/aws/*.yaml $(TRANSLATION)/*.json
	@$(CHECKOV) --framework dockerfile \
		--file functions/gcp/container/Dockerfile functions/container/Dockerfile
	@# The kustomizations give the image and the namespace, which these three checks look for in each file.
	@$(CHECKOV) --framework kubernetes --skip-check CKV_K8S_14,CKV_K8S_21,CKV_K8S_43 \
		--directory examples/kubernetes
	@$(CHECKERS)/bin/check-jsonschema --builtin-schema vendor.compose-spec deploy/compose/compose.yaml
	@$(CHECKERS)/bin/check-jsonschema --builtin-schema vendor.github-workflows \
		.github/workflows/*.yml starter/github/workflows/*.yml
	@$(CHECKERS)/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	@$(CHECKERS)/bin/check-jsonschema --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	@$(CHECKERS)/bin/check-jsonschema --builtin-schema vendor.github-issue-forms \
		$(filter-out %/config.yml,$(wildcard .github/ISSUE_TEMPLATE/*.yml))

format: $(VENV)/.dev  ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

build: $(VENV)/.run  ## Build the sample's packages in examples/breast-cancer/build
	@$(PILOTLIGHT) build $(if $(CLOUD),--cloud $(CLOUD))

# From the source distribution, so that it is complete, by a backend that is pinned by hash.
dist: $(UV)  ## Build the wheels and the source distribution of pilotlight itself in dist/
	@$(UV) build --quiet --clear --build-constraints tools/release.txt --require-hashes
	@$(UV) build --quiet --wheel --out-dir dist --build-constraints tools/release.txt --require-hashes shared

image: $(VENV)/.run  ## Build a Docker stand-in for AWS's Python image, if that cannot be pulled
	@$(BIN)/python tools/lambda_image.py

bench: $(VENV)/.dev  ## Benchmark the function against the usual alternatives, in about ten minutes
	@$(BIN)/python bench/run.py

bench-quick: $(VENV)/.dev  ## Run the benchmark with few rounds and small models, in about a minute
	@$(BIN)/python bench/run.py --quick

bench-publish: $(VENV)/.dev  ## Write the results of the last make bench to docs/reference/performance.md
	@$(BIN)/python bench/publish.py

container: $(VENV)/.run  ## Build the function for Google Cloud as a container image; BASE=... sets another base image
	@$(PILOTLIGHT) build --cloud gcp $(if $(filter aarch64 arm64,$(shell uname -m)),--architecture arm64)
	@$(BIN)/python tools/container.py $(BASE)

invoke: $(VENV)/.run  ## Send EVENT=events/... to the function in Docker, with sam local
	@$(PILOTLIGHT) sam invoke $(abspath $(EVENT))

start-api: $(VENV)/.run  ## Serve the function behind SAM's local API in Docker
	@$(PILOTLIGHT) sam start-api --port $(PORT)

deploy-aws: $(VENV)/.run  ## Deploy the sample to AWS, with the settings of ENV=dev|staging|prod in its samconfig.toml
	@$(if $(ENV),,$(error ENV is missing: make deploy-aws ENV=dev))
	@$(PILOTLIGHT) deploy aws --env '$(ENV)' $(if $(FROM),--from '$(FROM)') $(if $(YES),--yes)

deploy-gcp: $(VENV)/.run  ## Deploy the sample to Google Cloud, with the settings of ENV=dev|staging|prod in its gcp.toml
	@$(if $(ENV),,$(error ENV is missing: make deploy-gcp ENV=dev))
	@$(PILOTLIGHT) deploy gcp --env '$(ENV)' $(if $(FROM),--from '$(FROM)') $(if $(YES),--yes)

proto: $(VENV)/.dev  ## Write the messages of functions/container/grpc/grpc_inference.proto as Python again
	@$(BIN)/python tools/grpc_code.py

sample: $(VENV)/.dev  ## Retrain the sample model, write its project's files again, publish it to its store, and pin it
	@$(BIN)/python $(SAMPLE)/train.py
	@rm -rf $(SAMPLE)/store
	@cd $(SAMPLE) && rm -f pilotlight.toml .pilotlight.json .gitattributes .gitignore Makefile gcp.toml requirements.txt \
		samconfig.toml
	@$(BIN)/pilotlight init $(SAMPLE) --ci none --yes
	@$(PILOTLIGHT) publish model.onnx --name breast-cancer --signature signature.json --golden golden.json
	@$(PILOTLIGHT) pin breast-cancer

lock: $(VENV)/.run  ## Resolve uv.lock, all requirements.lock and tools/*.txt again; UPGRADE=1 upgrades to the newest versions
	@$(UV) lock $(if $(UPGRADE),--upgrade)
	@for group in lambda-runtime sam-cli; do \
		$(UV) export --quiet --frozen --only-group $$group --no-emit-project --no-header --no-annotate \
			--output-file cli/pilotlight_cli/pinned/$$group.txt || exit 1; \
	done
	@$(BIN)/python tools/lock_platform.py $(if $(UPGRADE),--upgrade)
	@$(BIN)/python tools/lock_peers.py $(if $(UPGRADE),--upgrade)
	@for name in checkers clients descriptions emulator fuzzers kubernetes registries release signing; do \
		$(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
			$$(test $$name = descriptions && echo --no-deps) \
			$$(test $$name = registries && echo --overrides tools/registries-overrides.txt) \
			--custom-compile-command 'make lock' $(if $(UPGRADE),--upgrade) tools/$$name.in --output-file tools/$$name.txt \
			|| exit 1; \
	done

clean:  ## Remove build/, dist/ and the virtual environments
	@rm -rf build dist $(VENV) $(CHECKERS)
