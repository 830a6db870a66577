"""Which photos `dec classify` takes."""

from dec.classify.new_photos import _photos


def test_links_to_folders_are_named(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("dec.classify.new_photos.say", said.append)
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.jpg").touch()
    (photos / "linked").symlink_to(tmp_path)
    assert list(_photos([photos], None)) == [photos / "a.jpg"]
    assert said == [f"{photos / 'linked'}: link to a folder, not followed"]
