"""REST of the market."""
