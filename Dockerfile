# `goldenrule serve` on a CPU: docker build -t goldenrule . (what it takes: docs/how-to/serve.md, In a container)
FROM python:3.12-slim

WORKDIR /install
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
COPY lessons lessons
RUN pip install --no-cache-dir -c constraints.txt '.[serve]' && rm -rf /install/*

# A user of its own, whose cache is the only place that is written to
RUN useradd --create-home --uid 1000 goldenrule
USER 1000
WORKDIR /home/goldenrule
ENV GOLDENRULE_CACHE=/home/goldenrule/cache

EXPOSE 8000
HEALTHCHECK --start-period=30s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=5)"]

# The run is mounted at /run/classifier. Others reach the container by any name: put a proxy before it that asks them
ENTRYPOINT ["goldenrule"]
CMD ["serve", "/run/classifier", "--host", "0.0.0.0", "--port", "8000"]
