"""Examples that can be run from the checkout."""
