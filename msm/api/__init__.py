"""Typed rows: values read from and written to the registry."""
