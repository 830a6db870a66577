"""The DEC paper's tables and figures, made again."""
