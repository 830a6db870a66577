"""HOG and colour-map features of photos; see README.md."""

from features.passes import crcb_map, extract, hog
from features.picture import hog_picture

__all__ = ["crcb_map", "extract", "hog", "hog_picture"]
