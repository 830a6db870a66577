"""Photos in class folders as train, val and test."""
