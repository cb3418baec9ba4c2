# evofool in a container, for the CPU or, by an argument, for NVIDIA GPUs:
#
#   docker build -t evofool .
#   docker run --rm -v "$PWD:/work" evofool evolve quickstart
#
#   docker build -t evofool:cuda --build-arg DEVICE=cuda .
#   docker run --rm --gpus all -v "$PWD:/work" evofool:cuda evolve quickstart
#
# What it writes goes to /work; data sets are looked for in /data.

ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
ARG DEVICE=cpu
# extras of evofool: --build-arg EXTRAS=timm,parquet
ARG EXTRAS=
ENV UV_LINK_MODE=copy PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN pip install --root-user-action=ignore "uv>=0.9,<1" && uv venv /opt/evofool
WORKDIR /source
COPY . .
# PyTorch for the CPU has an index of its own, which uv knows; the ordinary build brings 4 GB of CUDA and Triton
RUN case "$DEVICE" in \
      cpu) backend=--torch-backend=cpu ;; \
      cuda) backend= ;; \
      *) echo "DEVICE is cpu or cuda, not $DEVICE" >&2; exit 1 ;; \
    esac \
    && uv pip install --no-cache --python /opt/evofool ${backend:+"$backend"} ".${EXTRAS:+[$EXTRAS]}" pandas

FROM python:${PYTHON}-slim
ARG DEVICE=cpu
# on a GPU Triton compiles its kernels when they are first used, and needs a C compiler for it
# hadolint ignore=DL3008
RUN if [ "$DEVICE" = cuda ]; then \
      apt-get update \
      && apt-get install -y --no-install-recommends gcc libc6-dev \
      && rm -rf /var/lib/apt/lists/*; \
    fi \
    && useradd --uid 1000 --create-home evofool \
    && install -d -o evofool -g evofool /work /data
COPY --from=build /opt/evofool /opt/evofool
# a container may also run as somebody without a home (--user): what is compiled is kept in /tmp
ENV PATH=/opt/evofool/bin:$PATH \
    EVOFOOL_DATA=/data \
    NUMBA_CACHE_DIR=/tmp/numba \
    TRITON_CACHE_DIR=/tmp/triton \
    MPLCONFIGDIR=/tmp/matplotlib
USER 1000
WORKDIR /work
ENTRYPOINT ["evofool"]
CMD ["--help"]
