"""How well clusters and classes agree."""
