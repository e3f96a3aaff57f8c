#!/usr/bin/env bash
# Django's deployment checks with the settings of an installation behind TLS; no server is contacted.
set -euo pipefail
cd "$(dirname "$0")/.."
env -u DEBUG -u SECRET_KEY_FILE -u DATABASE_URL_FILE -u REDIS_URL_FILE \
  SECURE=1 \
  SECRET_KEY="of-the-deployment-check-only-0123456789-ABCDEFGHIJKLMNOPQRSTUVWXYZ-abc" \
  ALLOWED_HOSTS=msm.example.com \
  CSRF_TRUSTED_ORIGINS=https://msm.example.com \
  DATABASE_URL=postgres://msm:unused@db.example.com:5432/msm \
  REDIS_URL=redis://redis.example.com:6379/0 \
  .venv/bin/python manage.py check --deploy --fail-level WARNING
