# Snellen with all adapters and the HTTP service, as a user without privileges.
#   docker build -t snellen .                                                                # CPU
#   docker build -t snellen:cuda --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu128 \
#     --build-arg ONNXRUNTIME=onnxruntime-gpu .
#   docker run --rm -v "$PWD:/work" snellen eval best.pt data.yaml
#   docker run --rm -p 8000:8000 -e SNELLEN_API_KEYS=k1 -v "$PWD:/work" snellen serve --host 0.0.0.0
# The image contains Ultralytics, which is AGPL-3.0; --build-arg EXTRAS=onnx,postgres,serve builds without it.

FROM python:3.12-slim-bookworm AS build
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ARG EXTRAS=ultralytics,onnx,postgres,serve
ARG ONNXRUNTIME=onnxruntime
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/snellen
ENV PATH=/opt/snellen/bin:$PATH
COPY . /src
# torch first, from the index of its variant: any later requirement of it is then satisfied. Unpinned, as in
# pyproject.toml.
# hadolint ignore=DL3013
RUN pip install torch torchvision --index-url "$TORCH_INDEX" \
 && pip install "/src[$EXTRAS]" \
 && if [ "$ONNXRUNTIME" != onnxruntime ]; then \
      pip uninstall --yes onnxruntime && pip install "$ONNXRUNTIME"; \
    fi \
 && pip uninstall --yes opencv-python && pip install opencv-python-headless

FROM python:3.12-slim-bookworm
COPY --from=build /opt/snellen /opt/snellen
RUN useradd --create-home --uid 1000 snellen \
 && mkdir /work \
 && chown snellen /work
ENV PATH=/opt/snellen/bin:$PATH PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
USER 1000:1000
WORKDIR /work
EXPOSE 8000
ENTRYPOINT ["snellen"]
CMD ["--help"]
