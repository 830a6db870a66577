"""What `clean` can say of a file."""

# In the order of the table. All but the first are reasons to move a file.
REASONS = (
    "ok",
    "missing",
    "unreadable",
    "empty",
    "truncated",
    "corrupt",
    "not-an-image",
    "wrong-extension",
    "unsupported",
    "too-large",
    "exact-duplicate",
    "near-duplicate",
)
MOVABLE = tuple(reason for reason in REASONS if reason not in ("ok", "missing"))
# A photo under a wrong name is a good photo, as everything here opens by content.
MOVED_BY_DEFAULT = tuple(reason for reason in MOVABLE if reason != "wrong-extension")
