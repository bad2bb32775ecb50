# Every verb makes what it needs; CI calls the same verbs as a person.
PYTHON ?= python3
ARGS ?=
SERVE := .venv/bin/python
DEV := .venv-dev/bin/python
PROTO_OUT ?= .
GENERATED := depth_pb2.py depth_pb2.pyi depth_pb2_grpc.py depth_pb2_grpc.pyi kserve_pb2.py kserve_pb2.pyi
MANIFESTS := $(filter-out %/kustomization.yaml,$(wildcard deploy/kubernetes/base/*.yaml deploy/kubernetes/overlays/*/*.yaml))
PIP_INSTALL = -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: serve test check dev fmt proto bench triton export-rtx clean

serve: .venv/.ready ## run the server: make serve ARGS="--http-port 18000 --grpc-port 18001"
	@exec $(SERVE) -m server $(ARGS)

test: .venv/.ready .venv-dev/.ready ## run every test
	$(DEV) -m pytest $(ARGS)

check: .venv-dev/.ready .venv-compose/.ready ## format, lint, types, layers, deployment, README's figures, SBOM, generated code
	$(DEV) -m ruff format --check .
	$(DEV) -m ruff check .
	$(DEV) -m mypy
	.venv-dev/bin/lint-imports
	.venv-dev/bin/hadolint Dockerfile
	.venv-compose/bin/docker-compose --file deploy/compose.yaml config --quiet
	.venv-dev/bin/kubernetes-validate -k 1.30 --strict --quiet $(MANIFESTS)
	$(DEV) -m benchmarks.readme --check
	$(DEV) deploy/sbom.py --check
	@mkdir -p .cache/proto && $(MAKE) --no-print-directory proto PROTO_OUT=.cache/proto
	for f in $(GENERATED); do diff -u fathom/wire/$$f .cache/proto/fathom/wire/$$f || exit 1; done

dev: .venv-dev/.ready ## .venv-dev, which trains, exports and tests

fmt: .venv-dev/.ready ## format and repair what can be repaired
	$(DEV) -m ruff format .
	$(DEV) -m ruff check --fix .

proto: .venv-dev/.ready ## generate fathom/wire/*_pb2* from depth.proto and kserve.proto
	@$(DEV) -m grpc_tools.protoc --proto_path=. \
		--plugin=.venv-dev/bin/protoc-gen-mypy --plugin=.venv-dev/bin/protoc-gen-mypy_grpc \
		--python_out=$(PROTO_OUT) --mypy_out=quiet:$(PROTO_OUT) \
		--grpc_python_out=$(PROTO_OUT) --mypy_grpc_out=quiet:$(PROTO_OUT) fathom/wire/depth.proto
	@$(DEV) -m grpc_tools.protoc --proto_path=. --plugin=.venv-dev/bin/protoc-gen-mypy \
		--python_out=$(PROTO_OUT) --mypy_out=quiet:$(PROTO_OUT) fathom/wire/kserve.proto

bench: .venv-dev/.ready ## frames per second of model, server and stream
	$(DEV) benchmarks/fps.py $(ARGS)

triton: .venv-dev/.ready ## a real Triton on model_repository: make triton ARGS="--http-port=9000"
	@exec $(DEV) -m export.triton.server $(ARGS)

export-rtx: .venv-dev/.ready ## .venv-export-rtx, which builds TensorRT-RTX plans without a GPU
	$(DEV) -m export.environments export-rtx

clean:
	rm -rf .venv .venv-dev .venv-compose .cache

.venv/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(SERVE) $(PIP_INSTALL) --editable '.[server,client]'
	@touch $@

.venv-dev/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-dev
	$(DEV) $(PIP_INSTALL) --editable '.[dev]'
	@touch $@

.venv-compose/.ready: deploy/compose-requirements.txt constraints.txt
	$(PYTHON) -m venv .venv-compose
	.venv-compose/bin/python $(PIP_INSTALL) --no-deps --requirement deploy/compose-requirements.txt
	@touch $@
