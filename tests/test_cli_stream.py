import io
import json
import math
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

for module in ("typer", "rich", "pyarrow"):
    pytest.importorskip(module)

from command_line import POSIX, json_of, on_terminal, start  # noqa: E402

import cshortfall  # noqa: E402
from cshortfall import _sketch_files  # noqa: E402
from cshortfall._commands import streams  # noqa: E402
from cshortfall._number_lines import NumberLines  # noqa: E402
from cshortfall.stream import TailSketch  # noqa: E402

pytestmark = pytest.mark.usefixtures("plain_terminal")

X = 0.01 * np.random.default_rng(3).standard_t(3, 2500)


def text_of(values):
    return "".join(f"{value!r}\n" for value in values.tolist())


@pytest.fixture
def feed(call, monkeypatch):
    """Run a command with standard input."""

    def run(content, *arguments):
        data = content if isinstance(content, bytes) else content.encode()
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        return call("stream", *arguments)

    return run


def rows_of(output):
    """Read CSV: the header, and numbers with NaN for empty cells."""
    header, *rows = (line.split(",") for line in output.splitlines())
    return header, [[float(cell or "nan") for cell in row] for row in rows]


def row_of(sketch, level, tail="lower"):
    low, high = sketch.es_bounds(level, tail=tail)
    return [sketch.count, level, sketch.es(level, tail=tail), low, high, sketch.var(level, tail=tail)]


def sketch_of(values, relative_accuracy=0.001):
    sketch = TailSketch(relative_accuracy)
    sketch.update(values)
    return sketch


class TestStream:
    def test_a_row_after_every_so_many_numbers_and_at_the_end(self, feed):
        code, output, errors = feed(text_of(X), "--level", "0.99", "--every", "1000")
        header, rows = rows_of(output)
        assert (code, errors) == (0, [])
        assert header == ["count", "level", "es", "es_low", "es_high", "var"]
        assert rows == [row_of(sketch_of(X[:count]), 0.99) for count in (1000, 2000, 2500)]

    def test_no_row_twice_where_the_end_is_a_multiple(self, feed):
        assert [row[0] for row in rows_of(feed(text_of(X), "--every", "1250")[1])[1]] == [1250, 2500]
        assert [row[0] for row in rows_of(feed(text_of(X), "--every", "0")[1])[1]] == [2500]
        assert len(rows_of(feed(text_of(X[:50]), "--every", "1")[1])[1]) == 50

    @pytest.mark.parametrize("tail", ["lower", "upper"])
    def test_the_exact_value_lies_within_the_bounds(self, feed, tail):
        _, ((_, _, es, low, high, var),) = rows_of(feed(text_of(X), "-l", "0.99", "--tail", tail)[1])
        assert low <= cshortfall.es(X, 0.99, tail=tail) <= high
        assert low <= es <= high
        assert var == pytest.approx(cshortfall.var(X, 0.99, tail=tail), rel=0.0011)

    def test_several_levels_are_several_rows(self, feed):
        _, rows = rows_of(feed(text_of(X), "-l", "0.9", "-l", "0.99")[1])
        assert rows == [row_of(sketch_of(X), level) for level in (0.9, 0.99)]

    def test_a_finer_sketch_has_narrower_bounds(self, feed):
        (fine,), (coarse,) = (
            rows_of(feed(text_of(X), "--relative-accuracy", text)[1])[1] for text in ("0.0005", "0.05")
        )
        assert fine[4] - fine[3] < coarse[4] - coarse[3]

    def test_a_window_is_exact_to_the_bit(self, feed):
        _, rows = rows_of(feed(text_of(X), "--window", "400", "-l", "0.9", "-l", "0.975", "--every", "1100")[1])
        for count, level, es, var in rows:
            window = X[int(count) - 400 : int(count)]
            assert (es, var) == cshortfall.es_var(window, level)
        assert [row[0] for row in rows] == [1100, 1100, 2200, 2200, 2500, 2500]

    def test_a_window_that_is_not_full_has_no_result(self, feed):
        assert feed("1\n2\n", "--window", "3") == (0, "count,level,es,var\n2,0.975,,\n", [])

    def test_json_is_a_line_for_each_row(self, feed):
        _, output, _ = feed("1\n-inf\n", "-l", "0.9", "--json")
        (line,) = output.splitlines()
        result = json_of(line)
        assert (result["count"], result["level"], result["es"]) == (2, 0.9, "Infinity")
        _, rows = rows_of(feed(text_of(X), "--every", "900")[1])
        lines = feed(text_of(X), "--every", "900", "--json")[1].splitlines()
        assert [list(json.loads(line).values()) for line in lines] == rows

    @POSIX
    def test_columns_on_a_terminal(self):
        with subprocess.Popen(["echo", "-2.5"], stdout=subprocess.PIPE) as echo:
            code, page = on_terminal("stream", stdin=echo.stdout)
        assert code == 0
        header, row = page.splitlines()
        assert header.split() == ["count", "level", "es", "es", "low", "es", "high", "var"]
        assert row.split()[:3] == ["1", "0.975", "2.5"]

    @POSIX
    def test_a_slow_producer_sees_its_rows_at_once(self, tmp_path):
        process = start("stream", "--every", "2", stdin=subprocess.PIPE, cwd=tmp_path)
        try:
            for number in range(3):
                process.stdin.write("-1\n-1\n")
                process.stdin.flush()
                if number == 0:
                    assert process.stdout.readline().startswith("count,")
                assert process.stdout.readline().startswith(f"{2 * number + 2},0.975,1.0,")
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()
        assert (process.returncode, output, errors) == (0, "", "")


class TestLines:
    @pytest.mark.parametrize(
        "content",
        [
            "1\n-2.5\n3e2\n",
            "1\n-2.5\n3e2",
            "\n1\n\n\n-2.5\n3e2\n\n",
            "1\r\n-2.5\r\n3e2\r\n",
            "  1 \n\t-2.5\n +3.00e+02\n   \n",
            "\ufeff1\n-2.5\n300.\n",
        ],
    )
    def test_numbers_in_any_dress_are_the_same(self, feed, content):
        assert feed(content, "--window", "3", "-l", "0.5") == feed("1\n-2.5\n300\n", "--window", "3", "-l", "0.5")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("1\n2\n\nx\n4\n", "line 4: 'x' is not a number"),
            ("1,5\n", "line 1: '1,5' is not a number"),
            ("1\n2 3\n", "line 2: '2 3' is not a number"),
            ("1\n2\n nan\n", "line 3: 'nan' is not a number"),
            ("1\r\n0x10\r\n", "line 2: '0x10' is not a number"),
            ("1\n1_000\n", "line 2: '1_000' is not a number"),
            ('"1"\n', "line 1: '\"1\"' is not a number"),
            ("1\n" + "y" * 90 + "\n", f"line 2: '{'y' * 40}...' is not a number"),
            (b"1\n\xff\xfe\n", "line 2: '\ufffd\ufffd' is not a number"),
            ("1\n2\n3x", "line 3: '3x' is not a number"),
            ("z" * 70_000, "line 1: 'zzz"),
            ("1\n" * 100_000 + "?\n", "line 100001: '?' is not a number"),
        ],
        ids=lambda value: repr(value[:12]),
    )
    def test_a_line_that_is_no_number_is_named(self, feed, content, message):
        code, output, errors = feed(content, "--every", "0")
        assert (code, output, len(errors)) == (2, "", 1)
        assert errors[0].startswith(f"cshortfall: error: standard input: {message}")
        assert "--skip-bad" in errors[0]

    def test_results_before_a_bad_line_are_printed(self, feed):
        code, output, errors = feed(text_of(X[:250]) + "x\n" + text_of(X), "--every", "100")
        assert (code, len(errors)) == (2, 1)
        assert [row[0] for row in rows_of(output)[1]] == [100, 200]

    def test_skipped_lines_are_counted(self, feed):
        code, output, errors = feed("count\n1\n2\nnan\n\n3\n", "--skip-bad", "--window", "3")
        assert (code, output) == feed("1\n2\n3\n", "--window", "3")[:2]
        assert errors == [
            "cshortfall: warning: standard input: 2 lines were skipped, the first for: line 1: 'count' is not a number"
        ]
        assert feed("1\n2\n3\nend\n", "--skip-bad", "--window", "3")[2] == [
            "cshortfall: warning: standard input: 1 line was skipped, the first for: line 4: 'end' is not a number"
        ]

    @pytest.mark.parametrize("content", ["", "\n\n", " "])
    def test_no_numbers_are_an_error(self, feed, content):
        assert feed(content) == (2, "", ["cshortfall: error: standard input: no numbers"])

    @pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000, 10**6])
    def test_how_the_input_is_cut_does_not_show(self, size):
        text = b"\xef\xbb\xbf1.5\r\n\n-2e-3\nbad\n  7 \n1e400\n" + b"-0.125\n" * 50 + b"nan\n"
        text += b"\xef\xbb\xbf8\n" + b"9" * 40
        stream = io.BytesIO(text)
        lines = NumberLines(lambda: stream.read(size), skip_bad=True)
        values = np.concatenate(list(lines))
        expected = [1.5, -0.002, 7.0, math.inf, *[-0.125] * 50, float("9" * 40)]
        assert values.tolist() == expected
        assert (lines.lines, lines.skipped, lines.first_skipped) == (59, 3, "line 4: 'bad' is not a number")

    def test_a_line_without_end_does_not_fill_the_memory(self):
        blocks = iter([b"1\n", *[b"7" * 50_000] * 100, b"\n2\n"])
        lines = NumberLines(lambda: next(blocks, b""), skip_bad=True)
        assert np.concatenate(list(lines)).tolist() == [1.0, 2.0]
        assert lines.skipped == 1

    def test_blocks_convert_as_single_lines_do(self):
        numbers = ["1", "+1.25", "-.5", "5.", "1e5", "1E-5", "inf", "-Infinity", "1e999", "4.9e-324", "0.1", "-0"]
        block = "".join(f"{number}\n" for number in numbers).encode()
        lines = NumberLines(iter([block, b""]).__next__)
        expected = [float(number) for number in numbers]
        assert lines._converted(block).tolist() == lines._judged(block)[0].tolist() == expected


class TestFiles:
    def test_what_is_saved_is_the_sketch(self, feed, tmp_path):
        assert feed(text_of(X), "--save", "a.tail")[0] == 0
        assert TailSketch.from_bytes((tmp_path / "a.tail").read_bytes()) == sketch_of(X)
        assert [path.name for path in tmp_path.iterdir()] == ["a.tail"]

    def test_to_load_is_to_go_on(self, feed, tmp_path):
        feed(text_of(X[:1000]), "--save", "a.tail")
        code, output, _ = feed(text_of(X[1000:]), "--load", "a.tail", "--save", "a.tail", "--every", "600")
        assert code == 0
        assert [row[0] for row in rows_of(output)[1]] == [1600, 2200, 2500]
        assert (tmp_path / "a.tail").read_bytes() == sketch_of(X).to_bytes()

    def test_without_more_numbers_a_loaded_sketch_is_shown(self, feed):
        feed(text_of(X), "--save", "a.tail")
        code, output, _ = feed("", "--load", "a.tail")
        assert (code, rows_of(output)[1]) == (0, [row_of(sketch_of(X), 0.975)])

    def test_a_bad_line_leaves_the_saved_file_as_it_was(self, feed, tmp_path):
        feed(text_of(X), "--save", "a.tail")
        before = (tmp_path / "a.tail").read_bytes()
        assert feed("1\nx\n", "--load", "a.tail", "--save", "a.tail")[0] == 2
        assert (tmp_path / "a.tail").read_bytes() == before

    def test_merged_sketches_are_the_sketch_of_all(self, feed, call, tmp_path):
        for number, part in enumerate(np.array_split(X, 3)):
            feed(text_of(part), "--save", f"{number}.tail")
        names = ["0.tail", "1.tail", "2.tail"]
        assert call("sketch", "merge", *names, "--output", "all.tail") == (
            0,
            "all.tail: 2,500 values of 3 sketches\n",
            [],
        )
        assert (tmp_path / "all.tail").read_bytes() == sketch_of(X).to_bytes()
        assert call("sketch", "merge", *reversed(names), "-o", "0.tail")[0] == 0
        assert (tmp_path / "0.tail").read_bytes() == sketch_of(X).to_bytes()

    def test_merged_sketches_are_shown_where_no_file_is_named(self, feed, call, tmp_path):
        for number, part in enumerate(np.array_split(X, 2)):
            feed(text_of(part), "--save", f"{number}.tail")
        code, output, errors = call("sketch", "merge", "0.tail", "1.tail")
        assert (code, errors) == (0, [])
        call("sketch", "merge", "0.tail", "1.tail", "--output", "all.tail")
        assert output == call("sketch", "show", "all.tail")[1].replace("all.tail", "0.tail + 1.tail")

    def test_show_says_what_the_sketch_says(self, feed, call):
        feed(text_of(X), "--save", "a.tail")
        arguments = ["sketch", "show", "a.tail", "-l", "0.9", "-l", "0.99", "--tail", "upper"]
        code, output, errors = call(*arguments, "--json")
        result = json_of(output)
        assert (code, errors) == (0, [])
        assert (result["source"], result["count"], result["tail"]) == ("a.tail", 2500, "upper")
        expected = [[*row_of(sketch_of(X), level, "upper")[1:], True] for level in (0.9, 0.99)]
        assert [list(risk.values()) for risk in result["risk"]] == expected
        page = call(*arguments)[1]
        for text in ("a.tail", "2,500 values", "90 %", "99 %", *(f"{figure:.6g}" for figure in expected[0][1:5])):
            assert text in page

    def test_an_empty_sketch_is_shown(self, call, tmp_path):
        (tmp_path / "none.tail").write_bytes(TailSketch(0.01).to_bytes())
        code, page, _ = call("sketch", "show", "none.tail")
        assert code == 0
        assert "0 values" in page

    def test_bounds_that_collapsing_made_wide_and_missing_values_are_said(self, call, tmp_path):
        sketch = TailSketch(max_buckets=10, nan_policy="omit").update([*X, math.nan])
        (tmp_path / "small.tail").write_bytes(sketch.to_bytes())
        result = json_of(call("sketch", "show", "small.tail", "-l", "0.5", "--json")[1])
        assert (result["missing"], result["max_buckets"], result["risk"][0]["resolved"]) == (1, 10, False)
        page = call("sketch", "show", "small.tail", "-l", "0.5")[1]
        assert "1 missing" in page
        assert "than the 10 buckets of its side reach" in " ".join(page.split())

    def test_a_level_that_looks_like_a_tail_mass_is_doubted_once(self, feed, call):
        for _, output, errors in (
            feed(text_of(X), "-l", "0.05", "--every", "100", "--save", "a.tail"),
            call("sketch", "show", "a.tail", "-l", "0.05"),
        ):
            assert output
            assert len(errors) == 1
            assert errors[0].startswith("cshortfall: warning: level=0.05")

    @pytest.mark.parametrize("harm", ["empty", "text", "cut", "flipped", "long"])
    @pytest.mark.parametrize(
        "arguments",
        [["stream", "--load"], ["sketch", "show"], ["sketch", "merge", "-o", "c.tail", "good.tail"]],
        ids=" ".join,
    )
    def test_a_damaged_file_is_named_in_one_line(self, call, tmp_path, monkeypatch, arguments, harm):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"1\n")))
        good = sketch_of(X).to_bytes()
        (tmp_path / "good.tail").write_bytes(good)
        middle = len(good) // 2
        flipped = good[:middle] + bytes([good[middle] ^ 1]) + good[middle + 1 :]
        contents = {"empty": b"", "text": b"1\n2\n", "cut": good[:-1], "flipped": flipped, "long": good + b"\0"}
        (tmp_path / "bad.tail").write_bytes(contents[harm])
        code, output, errors = call(*arguments, "bad.tail")
        assert (code, output, len(errors)) == (2, "", 1)
        assert errors[0].startswith("cshortfall: error: bad.tail: ")
        assert not (tmp_path / "c.tail").exists()

    def test_a_file_too_large_for_a_sketch_is_not_read(self, call, tmp_path, monkeypatch):
        monkeypatch.setattr(_sketch_files, "LARGEST", 10)
        (tmp_path / "large.tail").write_bytes(bytes(11))
        code, _, (line,) = call("sketch", "show", "large.tail")
        assert code == 2
        assert line.startswith("cshortfall: error: large.tail: more than 10 bytes")

    def test_a_missing_file_is_named(self, feed, call):
        for result in (feed("1\n", "--load", "no"), call("sketch", "show", "no"), call("rolling", "no")):
            assert result == (2, "", ["cshortfall: error: no: No such file or directory"])

    def test_sketches_of_another_accuracy_are_refused_by_name(self, feed, call):
        feed("1\n", "--save", "a.tail")
        feed("1\n", "--save", "b.tail", "--relative-accuracy", "0.01")
        for code, output, errors in (
            call("sketch", "merge", "a.tail", "b.tail", "-o", "c.tail"),
            feed("1\n", "--load", "b.tail", "--relative-accuracy", "0.001"),
        ):
            assert (code, output, len(errors)) == (2, "", 1)
            assert errors[0].startswith("cshortfall: error: b.tail: ")

    @POSIX
    def test_where_nothing_can_be_saved_it_says_so_before_it_reads(self, tmp_path):
        process = start("stream", "--save", "no/a.tail", stdin=subprocess.PIPE, cwd=tmp_path)
        errors = process.stderr.read()
        assert process.wait(60) == 1
        assert errors == "cshortfall: error: cannot write no/a.tail: No such file or directory\n"
        for pipe in (process.stdin, process.stdout, process.stderr):
            pipe.close()

    def test_a_folder_is_no_file_to_save_to(self, feed, tmp_path):
        (tmp_path / "folder").mkdir()
        assert feed("1\n", "--save", "folder") == (
            1,
            "",
            ["cshortfall: error: cannot write folder: Is a directory"],
        )

    def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(self, feed, tmp_path, monkeypatch):
        feed(text_of(X), "--save", "a.tail")
        before = (tmp_path / "a.tail").read_bytes()

        def fail(_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", fail)
        code, _, errors = feed(text_of(X), "--save", "a.tail")
        assert (code, errors) == (1, ["cshortfall: error: cannot write a.tail: No space left on device"])
        assert (tmp_path / "a.tail").read_bytes() == before
        assert [path.name for path in tmp_path.iterdir()] == ["a.tail"]

    @POSIX
    def test_a_link_and_a_device_stay_what_they_are(self, feed, tmp_path):
        (tmp_path / "link.tail").symlink_to("a.tail")
        feed("1\n", "--save", "link.tail")
        assert (tmp_path / "link.tail").is_symlink()
        assert (tmp_path / "a.tail").is_file()
        assert feed("1\n", "--save", "/dev/null")[0] == 0
        assert not os.path.isfile("/dev/null")


MISTAKES = [
    (["--level", "99"], ["--level: level", "0.99"]),
    (["--every", "-1"], ["--every"]),
    (["--window", "0"], ["--window"]),
    (["--window", "9", "--save", "a.tail"], ["--save does not go with --window"]),
    (["--window", "9", "--load", "a.tail"], ["--load does not go with --window"]),
    (["--window", "9", "--relative-accuracy", "0.01"], ["--relative-accuracy does not go with --window"]),
    (["--relative-accuracy", "2"], ["--relative-accuracy: ", "2"]),
    (["--window", "10000000000000000"], ["--window 10000000000000000: there is no memory"]),
    (["--window", str(10**30)], ["there is no memory"]),
    (["--tail", "left"], ["--tail", "left"]),
    (["numbers.txt"], ["numbers.txt"]),
]


@pytest.mark.parametrize(("arguments", "pieces"), MISTAKES, ids=lambda value: " ".join(value)[:50])
def test_a_mistake_ends_with_one_line_and_exit_code_2(feed, arguments, pieces):
    code, output, errors = feed("1\n", *arguments)
    assert (code, output, len(errors)) == (2, "", 1)
    for piece in pieces:
        assert piece in errors[0]


@pytest.mark.parametrize(
    ("arguments", "piece"),
    [([], "command"), (["shw"], "show"), (["merge"], "FILE"), (["merge", "a"], "a: No such file")],
)
def test_a_mistyped_sketch_command_ends_with_one_line(call, arguments, piece):
    code, output, errors = call("sketch", *arguments)
    assert (code, output, len(errors)) == (2, "", 1)
    assert piece in errors[0]


@POSIX
class TestInterrupt:
    def interrupted(self, tmp_path, *arguments):
        process = start("stream", *arguments, "--every", "2", stdin=subprocess.PIPE, cwd=tmp_path)
        try:
            process.stdin.write("-1\n-2\n-4\n")
            process.stdin.flush()
            process.stdout.readline()
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            output, errors = process.communicate(timeout=60)
        finally:
            process.kill()
        return process.returncode, output, errors

    def test_it_prints_what_it_has_and_ends_with_130(self, tmp_path):
        code, output, errors = self.interrupted(tmp_path, "-l", "0.5")
        assert (code, errors) == (130, "")
        assert output.startswith("3,0.5,")
        assert len(output.splitlines()) == 1

    def test_it_saves_what_it_has(self, tmp_path):
        assert self.interrupted(tmp_path, "--save", "a.tail")[0] == 130
        saved = TailSketch.from_bytes((tmp_path / "a.tail").read_bytes())
        assert saved == sketch_of(np.array([-1.0, -2.0, -4.0]))

    def test_skipped_lines_are_said_then_too(self, tmp_path):
        process = start("stream", "--skip-bad", "--every", "1", stdin=subprocess.PIPE, cwd=tmp_path)
        process.stdin.write("x\n-2\n")
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "1 line was skipped" in errors

    def test_before_the_first_number_there_is_nothing_to_print_or_save(self, call, monkeypatch, tmp_path):
        class Silent(io.BytesIO):
            def read1(self, size):
                os.kill(os.getpid(), signal.SIGINT)
                return super().read1(size)

        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(Silent(b"-1\n")))
        assert call("stream", "--save", "a.tail") == (130, "", [])
        assert not list(tmp_path.iterdir())

    def test_a_block_that_was_read_is_worked_on_to_the_end(self, call, monkeypatch):
        class Blocks(io.BytesIO):
            def read1(self, size):
                return super().read1(20)

        update = streams._SoFar.update

        def interrupted_update(follower, values):
            os.kill(os.getpid(), signal.SIGINT)
            update(follower, values)

        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(Blocks(b"-1.0\n" * 100)))
        monkeypatch.setattr(streams._SoFar, "update", interrupted_update)
        code, output, _ = call("stream", "--every", "0")
        assert code == 130
        assert rows_of(output)[1][0][0] == 4
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@POSIX
def test_a_reader_that_leaves_early_is_no_error_and_does_not_keep_from_saving(tmp_path):
    (tmp_path / "numbers").write_text(text_of(X) * 20)
    with open(tmp_path / "numbers") as numbers:
        process = start("stream", "--every", "1", "--save", "a.tail", stdin=numbers, cwd=tmp_path)
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
        process.stderr.close()
    assert (process.wait(60), errors) == (1, "")
    assert TailSketch.from_bytes((tmp_path / "a.tail").read_bytes()).count > 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a full device")
def test_a_full_disk_is_said_in_one_line(tmp_path):
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            [sys.executable, "-m", "cshortfall", "stream"],
            input="1\n",
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            check=False,
        )
    assert process.returncode == 1
    (line,) = process.stderr.splitlines()
    assert line.startswith("cshortfall: error: cannot write: ")
