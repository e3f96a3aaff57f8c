"""The market's business operations: the only code that writes several tables."""
