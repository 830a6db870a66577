"""Work in a child, as the page shows it."""

import io

from tqdm import tqdm

from dec.review.jobs import Job


def finished(*words: str) -> Job:
    job = Job("try", list(words))
    job.wait(60)
    return job


def test_a_command_that_does_its_work():
    job = finished("review", "--help")
    facts = job.facts()
    assert facts["state"] == "done" and facts["what"] == "try"
    assert any("usage: dec review" in line for line in facts["lines"])


def test_a_command_that_fails_says_why(tmp_path):
    job = finished("review", str(tmp_path / "none"))
    assert job.state == "failed" and not job.running
    assert any("there is no run" in line for line in job.lines)
    # Bars are read as tqdm writes them.
    stream = io.StringIO()
    with tqdm(total=1200, desc="training", file=stream, ascii=True, ncols=99) as bar:
        for at in (300, 600):
            bar.set_postfix_str(f"loss 0.{at}5, val 91.0%", refresh=False)
            bar.update(at - bar.n)
            bar.refresh()
    for line in stream.getvalue().split("\r"):
        job._take(line)
    assert job.bar["what"] == "training" and job.bar["total"] == "1200"
    assert job.bar["done"] == "600" and job.bar["percent"] == "50"
    facts = job.facts()
    assert facts["loss"] == [[300.0, 0.3005], [600.0, 0.6005]]
    assert facts["accuracy"] == [[300.0, 91.0], [600.0, 91.0]]


def test_a_bar_is_no_line():
    job = finished("review", "--help")
    before = list(job.lines)
    job._take("features:  45%|####5     | 281/624 [00:12<00:15, 23.40 photos/s]")
    assert list(job.lines) == before
    assert job.bar["left"] == "00:15" and job.facts()["loss"] == []
