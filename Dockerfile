# One family, three images; the last is what `docker build` makes without a target.
#
#   docker build --tag fathom:cpu .                       the server on a CPU, or before a Triton fleet
#   docker build --tag fathom:gpu --target gpu .          the server on an NVIDIA GPU
#   docker build --tag fathom:export --target export .    from a checkpoint to a published model
#   docker run --rm -p 8000:8000 -p 8001:8001 fathom:cpu
#
# Versions of packages are those of constraints.txt; where pip is to look for them may be told by
# `--secret id=pip,src=pip.conf`, which no layer keeps. deploy/README.md says what has been run.
FROM python:3.11.13-slim-bookworm AS base
WORKDIR /fathom

FROM base AS install
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
# An empty folder in place of the code: packages are installed again when pins change, not code.
RUN mkdir fathom && python3 -m venv .venv
COPY pyproject.toml constraints.txt README.md LICENSE ./

FROM install AS install-cpu
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    .venv/bin/python -m pip install --constraint constraints.txt --editable '.[server,client,triton]'

FROM install-cpu AS install-gpu
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    .venv/bin/python -m pip install --constraint constraints.txt --editable '.[torch,tensorrt]'

FROM install AS install-export
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    .venv/bin/python -m pip install --constraint constraints.txt --editable '.[training,export]'
# TensorRT-RTX, which builds plans without a GPU, has an environment of its own.
COPY export/__init__.py export/environments.py export/
COPY export/tensorrt/requirements.txt export/tensorrt/
COPY export/triton/requirements.txt export/triton/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf \
    .venv/bin/python -m export.environments export-rtx

FROM scratch AS code
WORKDIR /fathom
COPY fathom fathom
COPY server server
COPY client client
COPY model_repository model_repository

# A user that owns nothing but the cache.
FROM base AS runtime
RUN useradd --uid 10001 --create-home fathom \
    && install --directory --owner=fathom .cache
ENV PYTHONDONTWRITEBYTECODE=1

FROM runtime AS export
COPY --from=install-export /fathom/.venv .venv
COPY --from=install-export /fathom/.venv-export-rtx .venv-export-rtx
COPY constraints.txt ./
COPY fathom fathom
COPY training training
COPY export export
COPY samples samples
USER 10001
HEALTHCHECK NONE
ENTRYPOINT [".venv/bin/python", "-m", "export"]

# Compiled models are all that the server writes: with the cache kept, a restart takes a second.
FROM runtime AS server
ENV FATHOM_HOST=0.0.0.0
EXPOSE 8000 8001
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD [".venv/bin/python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
ENTRYPOINT [".venv/bin/python", "-m", "server"]

FROM server AS gpu
# PyTorch compiles what it runs on a GPU with the machine's own compiler.
# hadolint ignore=DL3008 # Debian keeps one version of it, the one with the fixes
RUN apt-get update && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    TORCHINDUCTOR_CACHE_DIR=/fathom/.cache/inductor TRITON_CACHE_DIR=/fathom/.cache/kernels
COPY --from=install-gpu /fathom/.venv .venv
COPY --from=code /fathom .
USER 10001

FROM server AS cpu
COPY --from=install-cpu /fathom/.venv .venv
COPY --from=code /fathom .
USER 10001
