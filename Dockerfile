# camx on a CPU:
#   docker build -t camx .
#   docker run --rm -v "$PWD:/data" -v camx-cache:/cache camx explain images --model resnet50
FROM python:3.12-slim

# Without CUDA.
RUN pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu "torch>=2.10" "torchvision>=0.25"
COPY pyproject.toml README.md LICENSE /src/
COPY cam_cli /src/cam_cli
COPY camx /src/camx
COPY cli /src/cli
RUN pip install --no-cache-dir /src && rm -rf /src && camx --version

# Weights are kept in a volume; results belong to whoever is named with `--user`.
ENV HF_HOME=/cache/huggingface TORCH_HOME=/cache/torch CAMX_CACHE=/cache/camx XDG_CACHE_HOME=/cache HOME=/cache
RUN mkdir -m 1777 /cache
VOLUME /cache
WORKDIR /data
ENTRYPOINT ["camx"]
CMD ["--help"]
