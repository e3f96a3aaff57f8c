# One image for web, worker and beat; compose.yaml says which of them a container runs.
FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/msm
WORKDIR /app
COPY requirements.txt .
RUN /opt/msm/bin/pip install --require-hashes -r requirements.txt

FROM python:3.11-slim
ENV PATH=/opt/msm/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 MSM_DATA_DIR=/data
RUN useradd --system --create-home --uid 10001 msm && install -d -o msm -g msm /data /data/media /data/static
COPY --from=build /opt/msm /opt/msm
WORKDIR /app
COPY manage.py LICENSE ./
COPY msm_project msm_project
COPY markets markets
COPY portfolios portfolios
COPY msm msm
USER msm
VOLUME /data
EXPOSE 8000
CMD ["gunicorn", "msm_project.wsgi", "--bind=0.0.0.0:8000", "--workers=2", "--threads=4", "--limit-request-line=8190", \
     "--no-control-socket"]
