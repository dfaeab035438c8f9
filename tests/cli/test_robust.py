"""What the command line does with hostile text, narrow terminals, full disks and closed pipes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from udsph import hamming
from udsph.cli.output import plain, table
from udsph.errors import InputError

from .command import SMALL_SCENES, udsph

HOSTILE = [
    "[red]a[/red]",
    "[/]",
    "\x1b[31mred",
    "two\nlines",
    "中文",
    "\udcff",
    "$x_1$",
    "a\u2028b",
    "\u202eright to left",
]


@pytest.fixture
def codes(tmp_path: Path) -> Path:
    np.save(tmp_path / "codes.npy", np.random.default_rng(0).integers(0, 256, (40, 8), dtype=np.uint8))
    return tmp_path / "codes.npy"


def in_a_process(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "udsph", *(os.fsencode(str(argument)) for argument in arguments)]
    settings = {**os.environ, "PYTHONUTF8": "0", **environment}
    return subprocess.run(command, capture_output=True, timeout=120, check=False, env=settings)


def test_a_users_text_is_one_line_without_control_characters() -> None:
    for text in HOSTILE:
        shown = plain(text)
        assert shown.isprintable() and len(shown.splitlines()) == 1
    assert plain("[red]a[/red] 中文") == "[red]a[/red] 中文"


def test_a_table_keeps_hostile_text_in_its_cells() -> None:
    lines = table(["name", "n"], [[text, 7] for text in HOSTILE], "[title]").splitlines()
    assert lines[0] == "[title]"
    assert len(lines) == len(HOSTILE) + 2
    assert all(line.endswith(" 7") for line in lines[2:])


@pytest.mark.parametrize("encoding", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}])
def test_classes_and_captions_of_any_script_do_not_end_a_command(tmp_path: Path, encoding: dict[str, str]) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = [
        f"{k}.npy-is-no-image,{'中文' if k % 2 else '[red]ü[/red]'} {k},{'猫' if k % 2 else '[bold]'}" for k in range(8)
    ]
    (folder / "pairs.csv").write_text("\n".join(["image,caption,labels", *rows]), encoding="utf-8")
    done = in_a_process("data", "check", "folder", "--root", folder, **encoding)
    assert done.returncode == 2  # there are no images
    assert done.stderr.startswith(b"udsph: folder: ") and done.stderr.count(b"\n") == 1
    assert done.stderr.isascii()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_names_that_the_terminal_cannot_show_are_escaped(codes: Path, encoding: str) -> None:
    target = codes.with_name("ü中\udcff[red].json")
    done = in_a_process(
        "search", "--database", codes, "--queries", codes, "-k", 2, "--output", target, PYTHONIOENCODING=encoding
    )
    assert done.returncode == 0, done.stderr
    assert b"[red].json" in done.stdout and b"\\udcff" in done.stdout
    assert (b"\\u4e2d" in done.stdout) == (encoding != "utf-8")
    assert target.exists()
    missing = in_a_process(
        "search", "--database", target.with_suffix(".npy"), "--queries", codes, PYTHONIOENCODING=encoding
    )
    assert missing.returncode == 2 and b"[red].npy: No such file" in missing.stderr and missing.stderr.count(b"\n") == 1


def test_a_reader_that_goes_away_ends_the_command_without_a_word(codes: Path) -> None:
    command = [sys.executable, "-m", "udsph", "search", "--database", str(codes), "--queries", str(codes), "--json"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout is not None and running.stderr is not None
    running.stdout.close()
    assert running.stderr.read() == b""
    running.stderr.close()
    assert running.wait(120) == 141


@pytest.mark.skipif(os.name == "nt", reason="needs a POSIX shell")
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_closed_stream_is_as_if_nobody_read_it(codes: Path, closed: str) -> None:
    for words, code in (
        ("--version", 0),
        ("info", 0),
        (f"search --database {codes} --queries {codes}", 0),
        ("data", 2),
    ):
        script = f"{sys.executable} -m udsph {words} {closed}"
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == code and "Traceback" not in done.stderr + done.stdout, done.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_a_full_disk_is_one_line(codes: Path) -> None:
    full = in_a_process("search", "--database", codes, "--queries", codes, "--output", "/dev/full")
    assert full.returncode == 2
    assert (
        full.stderr == b"udsph: No space left on device\n"
        or full.stderr == b"udsph: /dev/full: No space left on device\n"
    )
    with open("/dev/full", "wb") as device:
        command = [sys.executable, "-m", "udsph", "info"]
        done = subprocess.run(command, stdout=device, stderr=subprocess.PIPE, timeout=120, check=False)
    assert done.returncode == 2 and done.stderr == b"udsph: stdout: No space left on device\n"


@pytest.mark.parametrize("k", [10**8, 10**13, 10**30])
def test_more_neighbours_than_memory_is_one_line_and_nothing_is_left(codes: Path, k: int) -> None:
    arguments = ["search", "--database", codes, "--queries", codes, "-k", k, "--output", codes.with_name("found.npz")]
    code = (
        "import resource, sys\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
        "from udsph.cli.app import main\n"
        f"sys.exit(main({[str(argument) for argument in arguments]}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("udsph: ") and done.stderr.count("\n") == 1
    assert [path.name for path in codes.parent.iterdir()] == ["codes.npy"]


@pytest.mark.skipif(os.name == "nt", reason="limits of files are those of POSIX")
def test_a_disk_that_fills_up_while_training_is_one_line_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    train = ["train", "--data", "scenes", "--quiet", *SMALL_SCENES, "--set", "width=64"]
    commands = [
        [*train, "--set", "checkpoint_seconds=0", "--output", str(tmp_path / "checkpoint")],
        [*train, "--set", "checkpoint_seconds=1e6", "--output", str(tmp_path / "weights")],
    ]
    code = (
        "import resource, sys\n"
        "from udsph.cli.app import main\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 18, 1 << 18))\n"
        f"print([main(command) for command in {commands}])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "[2, 2]", done.stderr
    assert done.stderr.count("\n") == 2 and done.stderr.count("udsph: ") == done.stderr.count("File too large") == 2
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"config.json", "splits.npz", "log.csv", "inputs.json"}


def test_outputs_that_cannot_be_written_are_one_line(codes: Path) -> None:
    (codes.parent / "folder.npz").mkdir()
    for target, said in (
        ("folder.npz", "folder.npz: Is a directory"),
        ("none/found.npz", "does not exist"),
        ("found.txt", "expected a file that ends with .npz or .json or .csv"),
        ("found", "expected a file that ends with"),
    ):
        done = udsph("search", "--database", codes, "--queries", codes, "--output", codes.parent / target)
        assert done.exit_code == 2 and said in done.stderr and done.stderr.count("\n") == 1
    assert sorted(path.name for path in codes.parent.iterdir()) == ["codes.npy", "folder.npz"]


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="there is no /proc, in which no file can be made")
def test_a_folder_in_which_no_file_can_be_made_is_one_line(codes: Path) -> None:
    done = udsph("search", "--database", codes, "--queries", codes, "--output", "/proc/self/found.npz")
    assert done.exit_code == 2 and done.stderr.startswith("udsph: /proc/self/found.npz: ")
    assert done.stderr.count("\n") == 1


def test_codes_that_cannot_be_read_are_one_line(codes: Path) -> None:
    folder, picture, objects = (codes.with_name(name) for name in ("folder.npy", "mat.npy", "objects.npy"))
    folder.mkdir()
    picture.write_bytes(b"MATLAB 5.0 MAT-file, Platform: PCWIN" + bytes(200))
    np.save(objects, np.array([{}, None]), allow_pickle=True)
    for path, said in (
        (folder, "is no collection"),
        (picture, "this is no .npy file"),
        (objects, "holds Python objects"),
        (codes.with_name("none.npy"), "No such file"),
    ):
        done = udsph("search", "--database", path, "--queries", codes)
        assert done.exit_code == 2 and said in done.stderr and path.name in done.stderr
        assert done.stderr.count("\n") == 1 and "unsafe" not in done.stderr


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried ..."), "not enough memory"),
        (MemoryError(), "there is not enough memory"),
        (PermissionError(13, "Permission denied", "a\nb"), "a\\nb: Permission denied"),
        (OSError("no number"), "no number"),
        (BrokenPipeError(32, "Broken pipe"), "Broken pipe"),
        (InputError("two\nlines of 'a  b'"), "two lines of 'a  b'"),
    ],
)  # fmt: skip
def test_errors_that_are_not_the_packages_are_one_line(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("udsph.cli.info.describe", lambda: (_ for _ in ()).throw(error))
    done = udsph("info")
    assert done.exit_code == 2 and said in done.stderr and done.stderr.count("\n") == 1 and not done.stdout


@pytest.mark.parametrize("error", [RuntimeError("an illegal memory access"), KeyError("a"), ZeroDivisionError()])
def test_faults_of_the_package_keep_their_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("udsph.cli.info.describe", lambda: (_ for _ in ()).throw(error))
    with pytest.raises(type(error)):
        udsph("info")


def test_a_damaged_index_is_named_once(codes: Path) -> None:
    index = hamming.FlatIndex(64)
    index.add(np.load(codes))
    index.save(codes.with_name("bad.index"))
    whole = codes.with_name("bad.index").read_bytes()
    codes.with_name("bad.index").write_bytes(whole[:100])
    done = udsph("search", "--database", codes.with_name("bad.index"), "--queries", codes)
    assert done.exit_code == 2 and done.stderr.startswith(f"udsph: --database {codes.with_name('bad.index')} is ")
    assert done.stderr.count("bad.index") == 1 and "codes.npy" not in done.stderr


@pytest.mark.parametrize(("given", "expected"), [(None, "passive"), ("active", "active")])
def test_threads_that_wait_sleep_unless_the_user_says_otherwise(given: str | None, expected: str) -> None:
    code = "import os; from udsph.cli.app import main; main(['--version']); print(os.environ['OMP_WAIT_POLICY'])"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment |= {} if given is None else {"OMP_WAIT_POLICY": given}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.splitlines()[-1] == expected
