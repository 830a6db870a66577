"""Texts as data sets: folders, 20 Newsgroups, Reuters."""
