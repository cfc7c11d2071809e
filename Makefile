# Two commands do everything on a fresh machine with python3, pip and make: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SHARDS ?= 4
# Most tests wait for other processes: one worker more than there are cores.
WORKERS ?= $(shell $(PYTHON) -c "import os; print((os.cpu_count() or 1) + 1)")
EXAMPLES ?= 10000

.PHONY: demo test check bench chaos fuzz lock clean setup

demo: $(READY)  ## one picture through MCP, from nothing
	$(BIN)/comfy-workbench demo

test: check  ## everything that must hold
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal

check: $(READY)  ## style, types, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --config importlinter.ini --no-cache
	$(BIN)/pyright

bench: $(READY)  ## figures against raw ComfyUI, a bare SDK server and raw HTTP, as ratios in one run
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python -m benchmarks.queue
	$(BIN)/python -m benchmarks.affinity
	$(BIN)/python -m benchmarks.mcp_calls
	$(BIN)/python -m benchmarks.llm
	$(BIN)/python -m benchmarks.compare
	$(BIN)/python -m benchmarks.gateway
	$(BIN)/python -m benchmarks.page

chaos: $(READY)  ## an hour of kills on two cores: 1000 of the workbench, 200 of the engine, 100 000 jobs; nothing may be lost
	$(BIN)/python -m tests.chaos.driver --workbench-kills 1000 --engine-kills 200 --jobs 100000 --shards $(SHARDS)

fuzz: $(READY)  ## generated requests to every endpoint, and pictures made to break who opens them
	$(BIN)/python -m tests.security.fuzz --examples $(EXAMPLES)
	$(BIN)/python -m benchmarks.bombs

lock: $(READY)  ## renew the lock after a change of pyproject.toml (needs uv)
	uv pip compile pyproject.toml --universal --generate-hashes --no-header --no-annotate \
	  --extra server --extra s3 --extra nodes --group dev -o requirements.lock --quiet

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $(READY)

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis
