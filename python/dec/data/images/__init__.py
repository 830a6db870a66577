"""Images as data sets: idx files, STL-10, folders of photos."""
