"""The data sets, a module each, whose DATA_SETS `dec.data.registry` gathers.

What takes time to import is imported where it is used: every command loads these.
"""
