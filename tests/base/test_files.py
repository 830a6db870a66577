"""Names as paths, and folders that are not ours to replace."""

import os
import re

import pytest

from dec.base.errors import DecError
from dec.base.files import flat_name, names_folder, refuse_to_replace


@pytest.mark.parametrize("word", ["cats", "c 1", "a..b", "é" * 127, "-"])
def test_words_that_name_a_folder(word, tmp_path):
    assert names_folder(word)
    (tmp_path / word).mkdir()
    assert os.listdir(tmp_path) == [word]


@pytest.mark.parametrize("word", ["", ".", "..", ".a", "a/b", "/", "a\0b", "é" * 128])
def test_words_that_do_not(word):
    assert not names_folder(word)


def test_flat_names_are_all_different(tmp_path):
    long = "/".join(c * 58 for c in "abcde") + "/ảnh.jpg"
    names = ["trip/day_1.jpg", "trip_day/1.jpg", "trip/day_1-2.jpg", long, "x" + long]
    names += ["trip_day_1.jpg", "plain.jpg", "a/" + os.fsdecode(b"\xff.jpg")]
    taken: set[str] = set()
    for name in names:
        flat = flat_name(name, taken)
        taken.add(flat)
        (tmp_path / flat).touch()
    assert len(taken) == len(os.listdir(tmp_path)) == len(names)
    assert {"trip_day_1.jpg", "trip_day_1-2.jpg", "plain.jpg"} <= taken
    assert all(name.endswith(".jpg") for name in taken)
    assert flat_name("é" * 200 + ".jpg", ()).strip("é") == ".jpg"


def test_only_what_is_ours_is_replaced(tmp_path):
    own = re.compile(r"\d+/(\d+\.png)?|facts\.json")
    target = tmp_path / "out"
    refuse_to_replace(target, "an export", own)
    (target / "3").mkdir(parents=True)
    (target / "3/7.png").touch()
    (target / "facts.json").touch()
    refuse_to_replace(target, "an export", own)
    with pytest.raises(DecError, match=r"other things than an export \(3/7.png\)"):
        refuse_to_replace(target, "an export", own, links=True)
    (target / "3/line\nbreak").touch()
    with pytest.raises(DecError, match=r"\(3/line\\nbreak\); it was not touched"):
        refuse_to_replace(target, "an export", own)
    (target / "3/line\nbreak").unlink()
    # A folder where a file should be, and a link where a folder should be.
    (target / "3/8.png").mkdir()
    with pytest.raises(DecError, match=r"\(3/8.png/\)"):
        refuse_to_replace(target, "an export", own)
    (target / "3/8.png").rmdir()
    (target / "4").symlink_to(tmp_path)
    with pytest.raises(DecError, match=r"\(4\)"):
        refuse_to_replace(target, "an export", own)
    with pytest.raises(DecError, match="is there and is not an export"):
        refuse_to_replace(target / "facts.json", "an export", own)
