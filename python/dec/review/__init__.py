"""The page in the browser: clusters are named and sorted, a net learns from it."""
