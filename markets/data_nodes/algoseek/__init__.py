"""AlgoSeek's security master and bars as DataNodes."""
