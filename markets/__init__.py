"""What exists in the market: assets, categories, calendars, prices, and the DataNode engine."""
