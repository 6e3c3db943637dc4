# Everything lives in .venv, made from requirements/dev.txt (hash-locked) by the first target that needs it. One
# environment for running and developing: the tools add a tenth to its size, and `make call` followed by `make test`
# does not install twice. Deployments use requirements/run.txt.
#
# $(RUN) ends what it runs when make is killed or stopped, by whatever signal, so that no process is left.

# Ends in a word, or make would read "@ -c" as its own prefix where there is no Python at all.
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.made
# The interpreter itself: a version manager's wrapper need not exec, and the guard must be make's own child.
INTERPRETER := $(shell $(PYTHON) -c 'import sys; print(sys.executable)' 2>/dev/null)
RUN := exec $(INTERPRETER) -I tandem/guard.py --parent $$PPID --
# protoc looks for its plugins on the PATH.
TOOLS := $(CURDIR)/$(BIN):$(PATH)
# Its folders lie inside .venv, so that nothing stays in /tmp when it is killed.
PIP := env TMPDIR=$(CURDIR)/$(VENV)/tmp PYTHONWARNINGS=ignore $(BIN)/python -m pip --disable-pip-version-check --no-input
NO_PACKAGES := echo "the packages could not be installed (pip says why above); run it again to go on" >&2; exit 2

CALL_OPTIONS := $(if $(JSON),--json) $(if $(SCRIPT),--script $(SCRIPT)) $(if $(OUT),--out $(OUT)) \
	$(if $(CODEC),--codec $(CODEC))
UP_OPTIONS := $(if $(SETTINGS),--settings $(SETTINGS)) $(if $(NATS),--nats $(NATS)) $(if $(PORTS),--ports $(PORTS))

.DEFAULT_GOAL := help
.PHONY: help setup call up run test test-unit test-sip check protos lock bench bench-media bench-signalling bench-brain bench-telemetry eval-tools \
	clean fuzz-sip telemetry-docs

help: ## this list
	@echo "make call is the main job: it sets up, brings Tandem up, rings it and books an appointment."
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)$$/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

call: $(STAMP) ## ring the front desk and check the booking (JSON=1, SCRIPT=…, CODEC=pcma, OUT=folder)
	@$(RUN) $(BIN)/tandem call $(CALL_OPTIONS)

up: $(STAMP) ## NATS and the five services in the foreground (SETTINGS=file, NATS=url, PORTS=auto)
	@$(RUN) $(BIN)/tandem up --fetch-models $(UP_OPTIONS)

run: up ## the same as up

test: $(STAMP) ## unit and integration tests, and a whole call with the real models
	@$(RUN) $(BIN)/tandem models fetch --yes
	@$(RUN) $(BIN)/python -m pytest tests/unit tests/integration tests/e2e $(ARGS)

test-unit: $(STAMP) ## the fast ones: pure, in virtual time
	@$(RUN) $(BIN)/python -m pytest tests/unit $(ARGS)

test-sip: $(STAMP) ## sipp plays carriers against real gateways, and docs/telephony/conformance.md says how it went
	@$(RUN) $(BIN)/python -m tests.sip $(ARGS)

check: $(STAMP) ## ruff, mypy, buf lint and breaking, generated code up to date
	@$(RUN) $(BIN)/ruff check .
	@$(RUN) $(BIN)/ruff format --check .
	@$(RUN) $(BIN)/mypy
	@$(RUN) $(BIN)/buf lint
	@if git rev-parse --quiet --verify main:protos >/dev/null 2>&1; then \
		$(RUN) $(BIN)/buf breaking --against '.git#branch=main'; \
	else echo "buf breaking: no branch main here to compare with"; fi
	@rm -rf build/protos && mkdir -p build/protos && export PATH="$(TOOLS)" && $(RUN) protos/generate build/protos
	@diff -r -x __pycache__ -x __init__.py build/protos/tandem/v1 tandem/v1 >/dev/null \
		|| { echo "tandem/v1 is not what protos/ generate: run 'make protos'"; exit 1; }
	@echo "check: all good"

protos: $(STAMP) ## generate tandem/v1 from protos/
	@export PATH="$(TOOLS)" && $(RUN) protos/generate

telemetry-docs: $(STAMP) ## write docs/telemetry.md from services/common/telemetry/schema
	@$(RUN) $(BIN)/python -m services.common.telemetry.schema.document --out docs/telemetry.md

fuzz-sip: $(STAMP) ## a million broken SIP messages against the parser and the user agent (ARGS='--seed 7')
	@$(RUN) $(BIN)/python -m tests.fuzz.sip --messages 1000000 $(ARGS)

bench: $(STAMP) ## latency at the caller's ear, one JSON object on stdout (ARGS='--calls 1,2,4 --repeat 3')
	@$(RUN) $(BIN)/tandem models fetch --yes
	@$(RUN) $(BIN)/python -m bench.latency --json $(ARGS)

bench-signalling: $(STAMP) ## calls a second on one core and what one costs, one JSON object (ARGS=--quick: a minute)
	@$(RUN) $(BIN)/python -m bench.signalling --json $(ARGS)

bench-media: $(STAMP) ## calls a core with their sound, one JSON object (ARGS=--quick: three minutes; ARGS='soak --minutes 30')
	@$(RUN) $(BIN)/python -m bench.media $(or $(filter soak%,$(ARGS)),--json) $(filter-out soak%,$(ARGS))

bench-turns: $(STAMP) ## interruptions, backchannels, ends of turns and word errors, one JSON object (ARGS=--quick)
	@$(RUN) $(BIN)/tandem models fetch --yes
	@$(RUN) $(BIN)/python -m bench.turns --json $(ARGS)

bench-brain: $(STAMP) ## what the brain costs a turn, conversations a core, dead air, one JSON object (ARGS='--levels 10,50')
	@$(RUN) $(BIN)/python -m bench.brain --json $(ARGS)

bench-telemetry: $(STAMP) ## what tracing costs, the trace store's answers, a collector that is down, one JSON object (ARGS=--quick)
	@$(RUN) $(BIN)/tandem models fetch --yes
	@$(RUN) $(BIN)/python -m bench.telemetry --json $(ARGS)

eval-tools: $(STAMP) ## 1,000 bookings interrupted, retried, taken over: none twice, none lost (ARGS='--bookings 100')
	@$(RUN) $(BIN)/python -m evals.tools --json $(ARGS)

setup: $(STAMP) ## make .venv

$(STAMP): requirements/dev.txt requirements/build.txt pyproject.toml
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' 2>/dev/null || { \
		echo "Python 3.11 or 3.12 is needed, $(or $(PYTHON),none) is not: apt-get install python3 python3-venv," \
			"or make PYTHON=/path/to/python3.11 …" >&2; exit 2; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make environments: apt-get install python3-venv" >&2; exit 2; }
	@echo "making $(VENV), once; this takes some minutes" >&2
	@$(RUN) $(PYTHON) -m venv $(VENV) >&2
	@mkdir -p $(VENV)/tmp
	@$(RUN) $(PIP) install --require-hashes -r requirements/build.txt >&2 || { $(NO_PACKAGES); }
	@$(RUN) $(PIP) install --require-hashes --no-build-isolation -r requirements/dev.txt >&2 || { $(NO_PACKAGES); }
	@$(RUN) $(PIP) install --quiet --no-deps --no-build-isolation -e . >&2
	@rm -rf $(VENV)/tmp
	@touch $@

lock: ## work out requirements/*.txt anew from pyproject.toml
	@test -x build/lock/bin/uv || { $(PYTHON) -m venv build/lock && build/lock/bin/python -m pip install --quiet uv; }
	@$(RUN) build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --extra dev $(LOCK) pyproject.toml -o requirements/dev.txt
	@$(RUN) build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url -c requirements/dev.txt $(LOCK) pyproject.toml -o requirements/run.txt
	@awk '/^[a-zA-Z]/ { on = /^(pip|setuptools)==/ } on && !/^ *#/' requirements/dev.txt > requirements/build.txt

clean: ## remove what the other targets made, .venv and runs included
	@rm -rf $(VENV) build runs .mypy_cache .ruff_cache .pytest_cache .hypothesis ./*.egg-info
