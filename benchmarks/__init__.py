"""One script for each performance claim; each measures both sides in one run and prints ratios."""
