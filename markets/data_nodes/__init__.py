"""The DataNode engine and the market's own nodes."""
