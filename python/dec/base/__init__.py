"""What every room stands on: errors, progress, files, tables, the web."""
