"""Lists: what parts lines, where a list starts and ends, encodings and their marks, and names."""

import os
import threading
import unicodedata

import pytest

from udsph.data.lines import check_encoding, decode_text, read_each_line, read_lines, read_names
from udsph.data.quotes import MOST_SHOWN, shown
from udsph.errors import InputError

# What str.splitlines takes for the end of a line beside "\n": all of it may stand in a caption.
OTHER_SEPARATORS = ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
CAPTIONS = ["", "a red ring", "zwölf größere 环", "", "last"]


def list_of(path):
    return [line.text for line in read_each_line(path)]


@pytest.mark.parametrize("separator", OTHER_SEPARATORS)
def test_only_newlines_part_lines(tmp_path, separator):
    path = tmp_path / "captions.txt"
    path.write_text(f"one{separator}more\ntwo\n", encoding="utf-8", newline="")
    assert len(path.read_text(encoding="utf-8").splitlines()) == 3
    assert read_lines(path, "mine") == list_of(path) == [f"one{separator}more", "two"]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "utf-16-le-mark", "utf-16-be-mark"], ids=lambda name: name
)
def test_every_program_writes_the_same_list(tmp_path, encoding, end):
    """PowerShell and Excel write UTF-16 with a mark, older Mac programs carriage returns alone."""
    path = tmp_path / "captions.txt"
    raw = "".join(caption + end for caption in CAPTIONS)
    mark = "\ufeff" if encoding.endswith("-mark") else ""
    path.write_bytes((mark + raw).encode(encoding.removesuffix("-mark")))
    for given in ("utf-8", "cp1252"):  # the mark decides, where there is one
        if given == "utf-8" or encoding != "utf-8":
            assert [line.text for line in read_each_line(path, given)] == CAPTIONS
            assert read_lines(path, "mine", given) == CAPTIONS


def test_empty_first_lines_count_and_empty_last_lines_of_a_list_do_not(tmp_path):
    path = tmp_path / "captions.txt"
    path.write_text("\n \na\n\nb\n\n\n")
    assert read_lines(path, "mine") == ["", "", "a", "", "b"]
    assert read_lines(path, "mine", least=6) == ["", "", "a", "", "b", ""]  # where six are known to be items
    assert [(line.number, line.fault) for line in read_each_line(path) if line.fault] == [
        (number, "is empty") for number in (1, 2, 4, 6, 7)
    ]


def test_a_carriage_return_within_a_line_parts_nothing(tmp_path):
    path = tmp_path / "captions.txt"
    path.write_bytes(b"one\rmore\ntwo\r\n")
    assert read_lines(path, "mine") == ["one\rmore", "two"]


def test_lines_that_are_no_text_are_named_and_move_no_others(tmp_path):
    path = tmp_path / "captions.txt"
    path.write_bytes("eins\nfünf\ndrei\n".encode("latin-1") + b"fo\x00ur\nfive")
    found = list(read_each_line(path))
    assert [line.text for line in found] == ["eins", "", "drei", "", "five"]
    assert [line.number for line in found if line.fault == "is not utf-8 (encoding=NAME for another)"] == [2, 4]
    with pytest.raises(InputError, match=r"mine: captions\.txt, line 2, is not utf-8 \(encoding=NAME for another\)"):
        read_lines(path, "mine")
    path.write_bytes("a\nb\n".encode("utf-16")[:-1])
    with pytest.raises(InputError, match=r"captions\.txt is not utf-16"):
        read_lines(path, "mine")


def test_another_encoding_is_named_by_the_reader_of_the_file(tmp_path):
    path = tmp_path / "captions.txt"
    path.write_bytes("环\n形\n".encode("gb18030"))
    assert read_lines(path, "mine", "gb18030") == ["环", "形"]
    for unknown in ("utf-99", "base64"):
        with pytest.raises(InputError, match=f"encoding={unknown}: not known; for example utf-8, utf-16"):
            check_encoding(unknown)


def test_whole_texts_know_marks_too():
    assert decode_text("\ufeff中国 \n".encode(), "utf-8", "x") == ("中国", "")
    assert decode_text("\ufeff中国 \n".encode("utf-16-le"), "utf-8", "x") == ("中国", "")
    assert decode_text("中国".encode("gb18030"), "gb18030", "x") == ("中国", "")
    assert decode_text(b"abc\xff", "utf-8", "x") == ("", "x, byte 3")


def test_names_stand_once_and_in_one_form(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_text("\n" + unicodedata.normalize("NFD", "café") + "\nfine art\n\ndog\n", encoding="utf-8")
    assert read_names(path, "mine") == ("café", "fine art", "dog")
    with pytest.raises(InputError, match=r"mine: classes\.txt, line 1, is empty, so the numbers of the names are unc"):
        read_names(path, "mine", numbered=True)
    path.write_text("cat\ndog\ncat\n")
    with pytest.raises(InputError, match=r"mine: classes\.txt names 'cat' in the lines 1 and 3"):
        read_names(path, "mine")
    path.write_text("\n")
    with pytest.raises(InputError, match=r"mine: classes\.txt is empty"):
        read_names(path, "mine")
    with pytest.raises(InputError, match=r"mine: 'none\.txt' is missing"):
        read_names(tmp_path / "none.txt", "mine")


def test_what_a_message_quotes_is_one_short_line():
    assert shown("a caption") == "a caption"
    assert shown("a\tb\n\x1b[0m") == r"a\tb\n\x1b[0m"
    long = shown("x" * 9_700_000)
    assert len(long) < MOST_SHOWN + 40 and long.endswith("x... (9,700,000 characters)")
    assert shown(b"\xff" * 10**6).startswith(r"b'\xff\xff")
    assert len(shown("\n" * 10**6)) < MOST_SHOWN + 40


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
def test_a_pipe_is_a_list_too(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=("\ufeff\na\u2028b\nc\n".encode("utf-16-le"),))
    writer.start()
    assert list_of(path) == ["", "a\u2028b", "c"]
    writer.join()
