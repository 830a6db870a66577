"""What a frame makes of a photo of another shape, before its features are taken."""

import numpy as np
import pytest
from photos_samples import picture
from PIL import Image
from real_data import real

from dec.data.images import photo_rows
from dec.data.images.image_features import Frame
from dec.photos.load import load_rgb


def test_portraits():
    tall = np.zeros((300, 100, 3), np.uint8)
    tall[:120] = (250, 0, 0)
    tall[120:180] = (0, 250, 0)  # the middle, 100 x 60
    tall[180:] = (0, 0, 250)
    photo = Image.fromarray(tall)
    placed = {f: Frame((200, 120), (6, 10), f).place(photo) for f in ("crop", "pad")}
    assert {image.shape for image in placed.values()} == {(120, 200, 3)}
    middle = placed["crop"][4:-4]
    np.testing.assert_allclose(middle, np.full_like(middle, (0, 250, 0)), atol=12)
    padded = placed["pad"]
    np.testing.assert_array_equal(padded[:, 0], np.tile([100, 50, 100], (120, 1)))
    assert padded[10, 100, 0] > 200 and padded[60, 100, 1] > 200
    assert padded[110, 100, 2] > 200
    squeezed = Frame((200, 120), (6, 10), "stretch").place(photo)
    assert squeezed[24, 5, 0] > 240 and squeezed[60, 195, 1] > 200


@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_photos_of_the_right_size_stay_as_they_are(fit):
    photo = picture(3, 200, 120)
    placed = Frame((200, 120), (6, 10), fit).place(photo)
    np.testing.assert_array_equal(placed, np.asarray(photo))


@pytest.mark.real
def test_stl_runs_take_photos_too():
    frame = Frame.of({"size": [96, 96], "colours": [8, 8], "fit": "crop"})
    assert frame.width == 1428
    facts = {"shape": [1428, 1, 1], "photos": frame.facts()}
    path = min(real("photos").rglob("*.jpg"))
    [(_, [row])] = photo_rows.PhotoRows(facts).read(path)
    image = frame.place(load_rgb(path, at_least=(192, 192)))
    np.testing.assert_array_equal(row, frame.rows(image[None])[0])
