# docker build -t histosynth . && docker run --rm -v "$PWD:/data" histosynth doctor
# BASE: an image with Python 3.11 or newer, e.g. one with the certificates of your proxy.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
# EXTRAS: of pyproject.toml, e.g. ray,dicom. TORCH_INDEX: where the build of torch lies, here for CPUs.
ARG EXTRAS=""
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
COPY . /src
RUN python -m venv /opt/histosynth \
    && /opt/histosynth/bin/pip install --no-cache-dir -c /src/constraints/cpu.txt \
      --extra-index-url "$TORCH_INDEX" "/src${EXTRAS:+[$EXTRAS]}"

FROM ${BASE}
COPY --from=build /opt/histosynth /opt/histosynth
# Any --user finds a home and a cache that it can write to.
RUN useradd --uid 1000 --create-home histosynth && mkdir -m 1777 /cache
ENV PATH=/opt/histosynth/bin:$PATH HOME=/tmp \
    HISTOSYNTH_CACHE=/cache/histosynth HF_HOME=/cache/huggingface
USER 1000:1000
WORKDIR /data
ENTRYPOINT ["histosynth"]
CMD ["--help"]
