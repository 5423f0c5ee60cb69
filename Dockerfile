# docker build -t histosynth . && docker run --rm -v "$PWD:/data" histosynth doctor
FROM python:3.11-slim

RUN useradd --create-home histosynth
COPY . /src
RUN pip install --no-cache-dir -c /src/constraints/cpu.txt \
      --extra-index-url https://download.pytorch.org/whl/cpu /src \
    && rm -rf /src

USER histosynth
WORKDIR /data
ENTRYPOINT ["histosynth"]
CMD ["--help"]
