"""From a list of photos to a folder of usable ones: fetch, clean, stats, resize.

`load.load_rgb` opens any photo as 8-bit RGB and `files.walk` finds the photos of a
folder; the other modules, and the features, are built on these two.
"""
