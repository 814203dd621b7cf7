PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
ONLY ?=
STAMP := $(VENV)/.installed

SEEDS ?= 1000
START ?= 0
HTTP ?=
DB ?= sqlite

.PHONY: help install demo test bench campaign check lint types imports format lock deploy clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

install: $(STAMP) ## a virtual environment with exactly the locked packages

$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "$(PYTHON) is $$($(PYTHON) --version), and 3.11 or newer is needed: make install PYTHON=python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $(STAMP)

demo: install ## real past sessions through the real flows; ARGS="--stay --sessions 5 --help"
	$(BIN)/wsb demo $(ARGS)

test: install ## everything, on SQLite and PostgreSQL, offline; ARGS="-k dip"
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

bench: install ## figures beside peers, written to var/bench.json; ONLY="options"
	$(BIN)/python -m tests.bench --only "$(ONLY)"

campaign: install ## orders under injected faults, to var/campaign.json; SEEDS=1000 START=0 HTTP=1 DB=postgres
	$(BIN)/python -m tests.campaign --seeds $(SEEDS) --start $(START) $(if $(HTTP),--http) --db $(DB) $(ARGS)

check: lint types imports ## what review runs

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/python -m mypy

imports: install
	$(BIN)/lint-imports

format: install ## put the code into its one layout
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install ## resolve the dependencies of pyproject.toml anew
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --extra demo --extra dev \
		--no-header --no-emit-index-url --no-emit-find-links pyproject.toml -o requirements.lock

deploy: install ## work pool and deployments on the Prefect server that PREFECT_API_URL names
	$(BIN)/python -m deployments.render
	$(BIN)/prefect work-pool create trading --type process --overwrite
	WSB_ROOT=$(CURDIR) $(BIN)/prefect --no-prompt deploy --all

clean: ## everything that was made
	rm -rf $(VENV) var *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
