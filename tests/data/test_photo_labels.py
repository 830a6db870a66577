"""Labels of photos, from folders or from names of files."""

import pytest

from dec.base.errors import DecError
from dec.data.images import photo_labels

AB = [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("names", "classes", "numbers"),
    [
        (["b/1.jpg", "a/2.jpg", "b/x/3.jpg"], ["a", "b"], [1, 0, 1]),
        (["0/1.jpg", "1/1.jpg"], ["0", "1"], [0, 1]),
        (["b/1.jpg", "2.jpg"], [], None),
        (["a/1.jpg", "a/2.jpg"], [], None),
        (["cat_1.jpg", "dog_2.png", "cat_3.jpg", "dog_x_4.jpg"], ["cat", "dog"], AB),
        (["s/cat_1", "s/dog_2", "s/cat_3", "s/dog_4"], ["cat", "dog"], AB),
        (["été_1", "hiver_1", "été_2", "hiver_2"], ["hiver", "été"], [1, 0, 1, 0]),
        (["cat_1.jpg", "cat_2.jpg"], [], None),
        (["cat_1.jpg", "dog_2.jpg", "cat_3.jpg"], [], None),
        (["cat_1.jpg", "cat_2.jpg", "dog_1.jpg", "dog_2.jpg", "x.jpg"], [], None),
        (["IMG_1.jpg", "IMG_2.jpg", "DSC_1.jpg", "DSC_2.jpg"], [], None),
        (["2024_1.jpg", "2024_2.jpg", "2023_1.jpg", "2023_2.jpg"], [], None),
    ],
)
def test_labels_that_are_found(names, classes, numbers):
    found = photo_labels.find(names)
    assert (found.classes, found.numbers) == (classes, numbers)


def test_labels_that_are_asked_for():
    names = ["a/cat_1.jpg", "b/dog_2.jpg"]
    assert photo_labels.find(names, "folders").classes == ["a", "b"]
    assert photo_labels.find(names, "names").classes == ["cat", "dog"]
    assert photo_labels.find(names, "none").numbers is None
    for way, words in [("names", "x.jpg is no label_name"), ("folders", "no sub-f")]:
        with pytest.raises(DecError, match=words):
            photo_labels.find([*names, "x.jpg"], way)
    with pytest.raises(DecError, match="none of auto, folders"):
        photo_labels.find(names, "colours")
