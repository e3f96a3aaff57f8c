"""OpenFIGI v3 over HTTP: requests, answers, limits. It knows no model of ours; `markets.services` calls it."""
