"""`dec photos stats` and `dec photos resize`."""

import csv
import os
import time
from collections import Counter

import numpy as np
import pytest
from disks import small_disk
from photos_samples import (
    NOT_UTF8,
    broken_files,
    dec_photos,
    encoded,
    good_photos,
    jpeg,
    open_to_all,
    picture,
    start_dec_photos,
    without_rights,
)
from PIL import Image
from real_data import real

from dec.base.errors import DecError
from dec.base.files import walk
from dec.photos import stats as counting
from dec.photos.resize import Plan, resize
from dec.photos.stats import Resolution, group, stats

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
SMALL = Plan((20, 12))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Default report folders are made below the current one."""
    monkeypatch.chdir(tmp_path)


def sizes(folder):
    return {name: Image.open(os.path.join(folder, name)).size for name in walk(folder)}


# stats


def test_group_takes_what_is_within_ten_pixels():
    found = group(Counter({(200, 120): 5, (210, 130): 2, (211, 120): 1, (190, 110): 1}))
    assert found == [
        Resolution(200, 120, 8, 190, 210, 110, 130),
        Resolution(211, 120, 1, 211, 211, 120, 120),
    ]
    assert [g.photos for g in group(Counter({(9, 9): 1, (10, 9): 1}), 0)] == [1, 1]


def test_group_does_not_chain():
    found = group(Counter({(100 + i, 100): 1 for i in range(100)}))
    assert sum(g.photos for g in found) == 100
    assert all(g.max_width - g.min_width <= 20 for g in found)
    assert len(found) <= 7


def test_group_of_many_sizes():
    rng = np.random.default_rng(0)
    many = Counter(map(tuple, rng.integers(50, 2000, (10_000, 2)).tolist()))
    began = time.process_time()
    found = group(many)
    assert sum(g.photos for g in found) == 10_000
    assert time.process_time() - began < 10


def test_table_and_picture(tmp_path, capsys):
    folder = tmp_path / "photos"
    good_photos(folder, 6)
    (folder / "wide.png").write_bytes(encoded(picture(1, 300, 100), "PNG"))
    exif = Image.Exif()
    exif[0x0112] = 6
    (folder / "turned.jpg").write_bytes(encoded(picture(2, 100, 300), exif=exif))
    (folder / "empty.jpg").touch()
    (folder / "notes.txt").write_text("no photo")
    assert dec_photos("stats", folder, "--jobs", 1) == 0
    out = capsys.readouterr().out
    assert "    48 x 36             6   75.0%   48          36\n" in out
    assert "   300 x 100            2   25.0%   300         100\n" in out
    assert "          total         8\n" in out
    assert "     unreadable         2   (dec photos clean tells why)\n" in out
    assert "smallest width 48, smallest height 36\n" in out
    with open("runs/stats-photos/resolutions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["photos"] for row in rows] == ["6", "2"]
    drawn = Image.open("runs/stats-photos/resolutions.png")
    assert len(drawn.convert("RGB").getcolors(1 << 24)) > 20
    assert os.listdir(folder).count("resolutions.png") == 0


def test_long_table(tmp_path, capsys):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(30):
        (folder / f"{i}.jpg").write_bytes(jpeg(i, 20 + 25 * i, 16))
    assert dec_photos("stats", folder, "--top", 3, "--jobs", 1) == 0
    assert "      27 others        27   90.0%\n" in capsys.readouterr().out


def test_stats_of_nothing(tmp_path):
    with pytest.raises(DecError, match="No such file"):
        stats(tmp_path / "none", "report")
    (tmp_path / "photos").mkdir()
    with pytest.raises(DecError, match="no files in it"):
        stats(tmp_path / "photos", "report", jobs=1)
    (tmp_path / "photos/empty.jpg").touch()
    with pytest.raises(DecError, match="none of its 1 files can be read"):
        stats(tmp_path / "photos", "report", jobs=1)


@pytest.mark.real
def test_stats_of_real_photos():
    groups, bad = stats(real("photos"), "report", jobs=1)
    assert bad == 0
    assert sum(g.photos for g in groups) == 782
    assert groups[0][:3] == (300, 225, 99)


# resize


def test_all_kinds_under_their_names(tmp_path, capsys):
    folder = tmp_path / "photos"
    names = good_photos(folder, 3)
    image = picture(7, 90, 60)
    (folder / "deep/er").mkdir(parents=True)
    (folder / "deep/er/x.png").write_bytes(encoded(image, "PNG"))
    (folder / "x.gif").write_bytes(encoded(image, "GIF"))
    (folder / "wrong.jpg").write_bytes(encoded(image, "PNG"))
    (folder / "bare").write_bytes(jpeg(8))
    (folder / NOT_UTF8).write_bytes(jpeg(9))
    before = {name: (folder / name).read_bytes() for name in walk(folder)}
    assert dec_photos("resize", folder, "small", "--size", "20x12", "--jobs", 1) == 0
    assert "20 x 12 pixels: 8 resized, 0 already there" in capsys.readouterr().out
    expected = [*names, "deep/er/x.png", "x.gif.png", "wrong.jpg.png", "bare.jpg"]
    assert set(sizes("small")) == {*expected, NOT_UTF8}
    assert set(sizes("small").values()) == {(20, 12)}
    assert {name: (folder / name).read_bytes() for name in walk(folder)} == before
    assert not os.path.exists("small/.dec-resize")


def test_good_resampling(tmp_path):
    """Stripes of one pixel become grey, and a smooth picture stays as it is."""
    folder = tmp_path / "photos"
    folder.mkdir()
    stripes = np.zeros((120, 160), np.uint8)
    stripes[:, ::2] = 255
    (folder / "stripes.png").write_bytes(encoded(Image.fromarray(stripes), "PNG"))
    smooth = picture(3, 1600, 1200)
    (folder / "smooth.jpg").write_bytes(encoded(smooth, quality=95))
    resize(folder, "small", "report", Plan((40, 30)), jobs=1)
    grey = np.asarray(Image.open("small/stripes.png").convert("L")).astype(float)
    assert np.abs(grey[:, 2:-2] - 127.5).max() < 3
    wanted = np.asarray(smooth.resize((40, 30), Image.Resampling.BOX)).astype(float)
    found = np.asarray(Image.open("small/smooth.jpg")).astype(float)
    assert np.abs(found - wanted).mean() < 4


def test_keep_and_smallest(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, (width, height) in enumerate(
        [(200, 120), (200, 165), (200, 166), (199, 140), (201, 140), (90, 300)]
    ):
        (folder / f"{i}.jpg").write_bytes(jpeg(i, width, height))
    keep = ((200, 120), (200, 165))
    done = resize(folder, "small", "report", Plan((200, 120), keep), jobs=1)
    assert (done.resized, done.outside) == (2, 4)
    assert sizes("small") == {"0.jpg": (200, 120), "1.jpg": (200, 120)}
    assert done.others == 0
    done = resize(folder, "small", "report", Plan((200, 120), (keep[0],) * 2), jobs=1)
    assert (done.there, done.outside, done.others) == (1, 5, 1)
    assert resize(folder, "a", "report", Plan(None, keep), jobs=1).size == (200, 120)
    assert resize(folder, "b", "report", Plan(None), jobs=1).size == (90, 120)
    with pytest.raises(DecError, match="no photo that can be read and is kept"):
        resize(folder, "c", "report", Plan(None, ((1, 1), (2, 2))), jobs=1)
    with pytest.raises(DecError, match="6 photos outside --keep"):
        resize(folder, "c", "report", Plan((9, 9), ((1, 1), (2, 2))), jobs=1)


def test_broken_ones_are_named_and_the_rest_arrives(tmp_path, capsys):
    folder = tmp_path / "photos"
    names = good_photos(folder, 20)
    seen_only_by_clean = ("zeros-inside.jpg", "cut-and-ended.jpg")
    broken = {
        name: (reason, data)
        for name, (reason, data) in broken_files().items()
        if reason != "wrong-extension" and name not in seen_only_by_clean
    }
    for name, (_, data) in broken.items():
        (folder / name).write_bytes(data)
    done = resize(folder, "small", "report", SMALL, jobs=1)
    assert (done.resized, done.skipped) == (20, len(broken))
    assert sorted(sizes("small")) == sorted(names)
    with open("report/skipped.csv", newline="") as file:
        rows = {row["file"]: row["reason"] for row in csv.DictReader(file)}
    assert rows == {name: reason for name, (reason, _) in broken.items()}


def test_second_call_does_what_is_new(tmp_path):
    folder = tmp_path / "photos"
    names = good_photos(folder, 6)
    resize(folder, "small", "report", SMALL, jobs=1)
    before = {name: os.stat(f"small/{name}").st_ino for name in names}
    (folder / names[0]).write_bytes(jpeg(99))
    later = time.time() + 5
    os.utime(folder / names[0], (later, later))
    (folder / "new.jpg").write_bytes(jpeg(98))
    open(f"small/{names[1]}", "wb").close()  # as a crash might leave it
    done = resize(folder, "small", "report", SMALL, jobs=1)
    assert (done.resized, done.there) == (3, 4)
    for name in names[2:]:
        assert os.stat(f"small/{name}").st_ino == before[name]
    assert resize(folder, "small", "report", Plan((9, 9)), jobs=1).resized == 7


def test_killed_and_called_again(tmp_path):
    names = good_photos(tmp_path / "photos", 600)
    words = ["photos", "small", "--size", "20x12", "--jobs", 1]
    process = start_dec_photos("resize", *words, cwd=tmp_path)
    deadline = time.monotonic() + 120
    while not os.path.exists(f"small/{names[100]}") and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.communicate()
    assert set(sizes("small").values()) == {(20, 12)}
    done = resize("photos", "small", "runs/resize-photos", SMALL, jobs=1)
    assert done.there >= 50
    assert done.there + done.resized == 600
    assert sorted(sizes("small")) == sorted(names)
    assert not os.path.exists("small/.dec-resize")


@pytest.mark.parametrize(
    "out", ["photos", "photos/small", ".", "link", "photos/../photos"]
)
def test_never_in_place(tmp_path, out):
    names = good_photos(tmp_path / "photos", 2)
    (tmp_path / "link").symlink_to("photos")
    with pytest.raises(DecError, match="must be a folder of its own"):
        resize("photos", out, "report", SMALL, jobs=1)
    assert sorted(walk("photos")) == sorted(names)


def test_bad_folders(tmp_path):
    with pytest.raises(DecError, match="No such file"):
        resize("none", "small", "report", SMALL)
    (tmp_path / "photos").mkdir()
    with pytest.raises(DecError, match="no files in it"):
        resize("photos", "small", "report", SMALL)
    good_photos(tmp_path / "photos", 2)
    (tmp_path / "small").touch()
    with pytest.raises(DecError, match="Not a directory"):
        resize("photos", "small", "report", SMALL, jobs=1)


def test_out_without_rights(tmp_path):
    good_photos(tmp_path / "photos", 2)
    open_to_all(tmp_path)
    (tmp_path / "small").mkdir(mode=0o555)
    with (
        without_rights(),
        pytest.raises(DecError, match="small/.dec-resize.*Permission denied"),
    ):
        resize("photos", "small", tmp_path / "report", SMALL, jobs=1)


@pytest.mark.parametrize("jobs", [1, 2])
def test_full_disk(tmp_path, jobs):
    good_photos(tmp_path / "photos", 300)
    with small_disk(tmp_path / "small", "96k") as disk:
        with pytest.raises(DecError, match="No space left on device.*Make room"):
            resize("photos", disk, "report", Plan((48, 36)), jobs=jobs)
        os.system(f"mount -o remount,size=8m {disk}")
        done = resize("photos", disk, "report", Plan((48, 36)), jobs=1)
        assert done.there > 0
        assert done.there + done.resized == 300


def test_workers_kept_from_another_folder(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        good_photos(tmp_path / name / "photos", 70)
        assert resize("photos", "small", "report", SMALL, jobs=2).resized == 70


def test_one_photo_of_200_megapixels_among_others(tmp_path, capsys):
    good_photos(tmp_path / "photos", 2)
    data = encoded(Image.new("1", (20_000, 10_000)), "PNG")
    (tmp_path / "photos/huge.png").write_bytes(data)
    assert dec_photos("resize", "photos", "small", "--smallest", "--jobs", 1) == 0
    out = capsys.readouterr().out
    assert (
        "48 x 36 pixels: 2 resized, 0 already there, 0 outside --keep, 1 skipped" in out
    )


@pytest.mark.parametrize(
    "words",
    [
        ["--size", "0x5"],
        ["--size", "5"],
        ["--size", "5x5", "--smallest"],
        [],
        ["--smallest", "--keep", "5x5"],
        ["--smallest", "--keep", "9x9..5x5"],
    ],
)
def test_bad_words(tmp_path, words):
    good_photos(tmp_path / "photos", 2)
    with pytest.raises(SystemExit):
        dec_photos("resize", "photos", "small", *words)
    assert not os.path.exists("small")


def test_full_disk_for_the_picture(tmp_path, monkeypatch):
    good_photos(tmp_path / "photos", 2)

    def full(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(counting.Figure, "savefig", full)
    with pytest.raises(DecError, match="resolutions.png: cannot be written: No space"):
        stats("photos", "report", jobs=1)


@pytest.mark.real
def test_real_photos(tmp_path):
    plan = Plan((200, 120), ((180, 100), (320, 230)))
    done = resize(real("photos"), "small", "report", plan, jobs=1)
    assert done.resized + done.outside == 782
    assert done.resized > 200
    assert set(sizes("small").values()) == {(200, 120)}
    assert {name.split("/")[1] for name in sizes("small")} <= set(
        os.listdir(real("photos", "caltech_3class"))
    )
