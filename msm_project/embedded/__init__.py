"""PostgreSQL and Redis on this host, started when first wanted, and Django's engine `msm_project.embedded`."""
