"""The epoch of a data folder, and the book of an edge link in it."""

import pytest

from mfgroute.adapters.zeromq.book import LEAP, Book
from mfgroute.adapters.zeromq.lane import Point
from mfgroute.errors import AdapterError, FolderUnfit
from mfgroute.runtime.epoch import FILE, epoch_of, renew


def test_a_folder_keeps_its_epoch_until_it_is_renewed(tmp_path):
    epoch = epoch_of(tmp_path)
    assert epoch == epoch_of(tmp_path)
    assert renew(tmp_path) == epoch_of(tmp_path) != epoch
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "content", [b"", b"x", b"0" * 16 + b"\n", b"+" + b"1" * 15 + b"\n", b"1" * 15, b"1" * 16]
)
def test_a_file_that_holds_no_epoch_is_refused(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(FolderUnfit, match="holds no epoch"):
        epoch_of(tmp_path)


def test_a_book_keeps_points_and_counts_sessions(tmp_path):
    path = tmp_path / "edge-link" / "core.json"
    book = Book(path, 5)
    first = book.begin()
    book.write({"business": Point(7, b"h" * 16, "sealed")})
    again = Book(path, 5)
    assert again.points == {"business": Point(7, b"h" * 16, "sealed")}
    assert (first >> 32, again.begin() >> 32) == (1, 2)
    again.leap()
    # A folder that was put back catches up with what it was at once, or nobody would see the fork for hours.
    assert Book(path, 5).begin() >> 32 == 2 + LEAP + 1
    other = Book(path, 6)
    assert other.points == {}, "of another epoch nothing is of use"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"format":2,"epoch":"5","lives":1,"streams":{},"more":1}',
        '{"format":2,"epoch":"0000000000000005","lives":1,"streams":{"s":{"number":0,"hash":"","level":"sealed"}}}',
        '{"format":3,"epoch":"5","lives":1,"streams":{}}',
    ],
)
def test_an_unreadable_book_is_an_error(tmp_path, text):
    path = tmp_path / "core.json"
    path.write_text(text)
    with pytest.raises(AdapterError, match=r"core\.json"):
        Book(path, 5)
