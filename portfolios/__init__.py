"""What we own and intend to own: signals, portfolios, their weights and values."""
