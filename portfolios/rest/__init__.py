"""REST of portfolios."""
