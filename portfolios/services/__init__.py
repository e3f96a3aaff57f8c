"""The business operations of portfolios."""
