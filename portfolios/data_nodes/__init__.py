"""DataNodes of portfolios: signals, weights and values."""
