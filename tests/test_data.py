"""Data files give the arrays that the spec asks for, or say which cell is wrong."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from symback.data import Table, check_shape, read
from symback.errors import Mistake, UserError
from symback.program import Columns, Data
from symback.spec import Input, load

X, T = Input("x", ("n", 2)), Input("t", ("n",), 3)
TEXT = "a,b,label\n1,2,0\n3,4.5,1\n-5,6e1,2\n7,8,0\n"


def data(**changes: Any) -> Data:
    columns = (Columns("x", ("a:b",)), Columns("t", ("label",)))
    return Data(**({"path": "d.csv", "format": "csv", "columns": columns} | changes))


def table(folder: Path, text: str, **changes: Any) -> Table:
    (folder / "d.csv").write_text(text)
    return read(data(**changes), (X, T), folder)


def refused(folder: Path, text: str, **changes: Any) -> tuple[Mistake, ...]:
    with pytest.raises(UserError) as caught:
        table(folder, text, **changes)
    return caught.value.mistakes


def test_columns_become_arrays(tmp_path: Path) -> None:
    found = table(tmp_path, TEXT)
    np.testing.assert_array_equal(found.train["x"], [[1, 2], [3, 4.5], [-5, 60], [7, 8]])
    np.testing.assert_array_equal(found.train["t"], [0, 1, 2, 0])
    assert found.train["x"].dtype == np.float64
    assert found.train["t"].dtype == np.int64
    assert len(found.test["x"]) == 0


@pytest.mark.parametrize(
    ("names", "values"),
    [(("a", "b"), [1, 2]), (("b", "a"), [2, 1]), (("b:label",), [2, 0]), (("a", "label"), [1, 0])],
)
def test_columns_by_name_list_and_range(
    tmp_path: Path, names: tuple[str, ...], values: list[float]
) -> None:
    columns = (Columns("x", names), Columns("t", ("label",)))
    assert table(tmp_path, TEXT, columns=columns).train["x"][0].tolist() == values


def test_a_column_may_have_a_colon_in_its_name(tmp_path: Path) -> None:
    columns = (Columns("x", ("a:b", "c")), Columns("t", ("label",)))
    found = table(tmp_path, "a:b,c,label\n1,2,0\n", columns=columns)
    assert found.train["x"].tolist() == [[1, 2]]


@pytest.mark.parametrize("shape", [("n",), ("n", 1)])
def test_one_column_has_the_shape_of_the_spec(tmp_path: Path, shape: tuple[int | str, ...]) -> None:
    (tmp_path / "d.csv").write_text(TEXT)
    found = read(data(columns=(Columns("t", ("label",)),)), (Input("t", shape),), tmp_path)
    assert found.train["t"].shape == (4, *shape[1:])


def test_columns_fill_an_image_row_by_row(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("p0,p1,p2,p3\n1,2,3,4\n")
    image = Input("x", ("n", 1, 2, 2))
    found = read(data(columns=(Columns("x", ("p0:p3",)),)), (image,), tmp_path)
    assert found.train["x"].tolist() == [[[[1, 2], [3, 4]]]]


def test_spaces_quotes_blank_rows_and_a_byte_order_mark_are_taken(tmp_path: Path) -> None:
    text = '\ufeffa , "b",label\r\n 1 ,"2",0\r\n\r\n3,4,1\r\n'.replace(', "b"', ',"b"')
    assert table(tmp_path, text).train["x"].tolist() == [[1, 2], [3, 4]]


def test_the_split_follows_the_seeded_permutation(tmp_path: Path) -> None:
    rows = "".join(f"{k},{2 * k},{k % 3}\n" for k in range(11))
    found = table(tmp_path, "a,b,label\n" + rows, test=0.3, seed=7)
    order = np.random.default_rng(7).permutation(11)
    assert found.test["x"][:, 0].tolist() == sorted(order[:3].tolist())
    assert found.train["x"][:, 0].tolist() == sorted(order[3:].tolist())
    np.testing.assert_array_equal(found.train["t"], found.train["x"][:, 0] % 3)


def test_standardised_by_the_training_rows(tmp_path: Path) -> None:
    columns = (Columns("x", ("a:b",), standardise=True), Columns("t", ("label",)))
    rows = "".join(f"{k * k},0.1,0\n" for k in range(10))
    found = table(tmp_path, "a,b,label\n" + rows, columns=columns, test=0.2)
    raw = table(tmp_path, "a,b,label\n" + rows, test=0.2)
    mean, std = raw.train["x"][:, 0].mean(), raw.train["x"][:, 0].std()
    np.testing.assert_allclose(found.train["x"][:, 0], (raw.train["x"][:, 0] - mean) / std)
    np.testing.assert_allclose(found.test["x"][:, 0], (raw.test["x"][:, 0] - mean) / std)
    np.testing.assert_allclose(found.train["x"][:, 1], 0, atol=1e-15)  # one value only: std 1
    (scale,) = found.scales
    assert scale.std[1] == 1


# ---------------------------------------------------------------- mistakes

CELLS = [  # a row of the file, what is said
    ("1,two,0", "column `b`: the text `two`, not a number"),
    ("1,1_0,0", "column `b`: the text `1_0`, not a number"),
    ("1,,0", "column `b`: an empty cell"),
    ("1,nan,0", "column `b`: nan; numbers must be finite"),
    ("1,-inf,0", "column `b`: -inf; numbers must be finite"),
    ("1,1e999,0", "column `b`: 1e999; numbers must be finite"),
    ("1,2,3", "column `label`: the label 3, outside 0 … 2"),
    ("1,2,-1", "column `label`: the label -1, outside 0 … 2"),
    ("1,2,0.5", "column `label`: 0.5; a label is a whole number"),
]


@pytest.mark.parametrize(("row", "message"), CELLS, ids=[row for row, _ in CELLS])
def test_a_wrong_cell_is_shown_with_row_and_column(tmp_path: Path, row: str, message: str) -> None:
    (mistake,) = refused(tmp_path, TEXT + row + "\n")
    assert mistake.message == message
    assert mistake.hint
    assert (mistake.line, mistake.row) == (6, row)
    assert mistake.column == (5 if "label" in message else 3)
    assert mistake.source.endswith("d.csv")


FILES = [  # a file, what is said
    ("", "the file is empty"),
    ("\n\n", "the file is empty"),
    ("a,b,label\n", "no rows"),
    ("a,b,label\n1,2\n", "a row of 2 cells below a header of 3"),
    ("a,b,label\n1,2,0,4\n", "a row of 4 cells below a header of 3"),
    ("a,c,label\n1,2,0\n", "the column `b`"),
    ("a,b,labl\n1,2,0\n", "did you mean `labl`?"),
    ("a,b,b,label\n1,2,3,0\n", "two columns are called `b`"),
    ("b,a,label\n1,2,0\n", "write b:a"),
    ("a,c,b,label\n1,2,3,0\n", "`data` gives it 3"),
    ('a,b,label\n"1,2,0\n', "this is no CSV"),
    ("a;b;label\n1;2;0\n", "save the file with commas"),
    ("a\tb\tlabel\n1\t2\t0\n", "here stands a tab"),
    ("a;b;label\n1,5;2;0\n", "here stands ;"),
    ("1,2,0\n1,3,0\n", "the first row must hold the columns' names"),
]


@pytest.mark.parametrize(("text", "words"), FILES, ids=[words for _, words in FILES])
def test_a_wrong_file_is_refused(tmp_path: Path, text: str, words: str) -> None:
    assert words in "\n".join(map(str, refused(tmp_path, text)))


def test_an_ignored_label_is_taken(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(TEXT + "1,2,-100\n")
    wanted = (X, Input("t", ("n",), 3, ignored=-100))
    assert read(data(), wanted, tmp_path).train["t"].tolist() == [0, 1, 2, 0, -100]
    np.savez(tmp_path / "d.npz", x=np.ones((2, 2)), t=np.array([1, -100]))
    columns = (Columns("x", ("x",)), Columns("t", ("t",)))
    arrays = data(path="d.npz", format="npz", columns=columns)
    assert read(arrays, wanted, tmp_path).train["t"].tolist() == [1, -100]
    (tmp_path / "d.csv").write_text(TEXT + "1,2,-99\n")
    with pytest.raises(UserError, match="the label -99, outside"):
        read(data(), wanted, tmp_path)


def test_labels_in_words_come_with_advice(tmp_path: Path) -> None:
    mistakes = refused(tmp_path, "a,b,label\n1,2,dog\n1,2,cat\n1,2,dog\n")
    assert len(mistakes) == 3
    assert mistakes[0].hint == "labels are numbers: write 0 for cat, 1 for dog"


def test_only_the_first_mistakes_of_a_file_are_listed(tmp_path: Path) -> None:
    mistakes = refused(tmp_path, "a,b,label\n" + "1,?,0\n" * 35)
    assert len(mistakes) == 11
    assert mistakes[-1].message == "and 25 more like these"


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_bytes(b"a,b,label\n1,\xff,0\n")
    with pytest.raises(UserError, match="UTF-8"):
        read(data(), (X, T), tmp_path)


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../d.csv", "a/../../d.csv", "C:\\d.csv", "", "\n"]
)
def test_only_files_in_the_folder_are_read(tmp_path: Path, path: str) -> None:
    with pytest.raises(UserError):
        read(data(path=path), (X, T), tmp_path)


def test_a_file_that_is_not_there_has_a_near_miss(tmp_path: Path) -> None:
    (tmp_path / "digits.csv").write_text(TEXT)
    with pytest.raises(UserError, match=r"did you mean `digits\.csv`"):
        read(data(path="digit.csv"), (X, T), tmp_path)


def test_a_test_part_that_takes_every_row_is_refused(tmp_path: Path) -> None:
    assert "none is left" in refused(tmp_path, TEXT, test=0.99)[0].message


def test_the_file_of_a_spec(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text(TEXT)
    (tmp_path / "m.yaml").write_text(
        "inputs: {x: [n, 2], t: {shape: [n], classes: 3}}\nlayers: [{f: {dense: 3}}]\n"
        "loss: {cross_entropy: t}\noptimizer: sgd\ndata: {csv: d.csv, x: [a, b], t: label}\n"
    )
    spec = load(tmp_path / "m.yaml")
    assert spec.data is not None
    assert read(spec.data, spec.inputs, spec.folder).train["x"].shape == (4, 2)


# ---------------------------------------------------------------- NPZ and shapes


def npz(folder: Path, arrays: Mapping[str, Any]) -> Table:
    np.savez(folder / "d.npz", allow_pickle=True, **arrays)
    columns = (Columns("x", ("x",)), Columns("t", ("t",)))
    return read(data(path="d.npz", format="npz", columns=columns), (X, T), folder)


def test_arrays_of_an_npz(tmp_path: Path) -> None:
    found = npz(tmp_path, {"x": np.ones((3, 2), np.float32), "t": np.array([0, 1, 2], np.uint8)})
    assert found.train["x"].dtype == np.float64
    assert found.train["t"].tolist() == [0, 1, 2]


ARRAYS = [
    ({"x": np.ones((3, 2))}, "there is no array `t`"),
    ({"x": np.ones((3, 2)), "t": np.zeros((3, 1))}, "`t` has the shape [3, 1]; the spec says [n]"),
    ({"x": np.ones((3, 3)), "t": np.zeros(3)}, "the spec says [n, 2]"),
    ({"x": np.ones((3, 2)), "t": np.zeros(2)}, "different numbers of rows: x 3, t 2"),
    ({"x": np.full((3, 2), np.nan), "t": np.zeros(3)}, "x[0, 0]: nan isn't finite"),
    ({"x": np.ones((3, 2)), "t": np.array([0, 1, 3])}, "t[2]: the label 3, outside 0 … 2"),
    ({"x": np.ones((3, 2)), "t": np.array([0, 0.5, 1])}, "a label is a whole number"),
    ({"x": np.ones((3, 2)), "t": np.array(["a", "b", "c"])}, "not numbers"),
    ({"x": np.array([[{}, 1]], object), "t": np.zeros(1)}, "Python objects"),
    ({"x": np.ones((0, 2)), "t": np.zeros(0)}, "no rows"),
]


@pytest.mark.parametrize(("arrays", "words"), ARRAYS, ids=[words for _, words in ARRAYS])
def test_wrong_arrays_are_refused(tmp_path: Path, arrays: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as caught:
        npz(tmp_path, arrays)
    assert words in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04nothing", b"x" * 100, b"\x93NUMPY"])
def test_what_is_no_npz_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "d.npz").write_bytes(content)
    columns = (Columns("x", ("x",)), Columns("t", ("t",)))
    with pytest.raises(UserError):
        read(data(path="d.npz", format="npz", columns=columns), (X, T), tmp_path)


def test_both_shapes_are_named() -> None:
    check_shape(X, (5, 2))
    check_shape(T, (5,))
    with pytest.raises(UserError) as caught:
        check_shape(T, (5, 1))
    (mistake,) = caught.value.mistakes
    assert mistake.message == "`t` has the shape [5, 1]; the spec says [n]"
    assert "t: [n, 1]" in mistake.hint
    for found in [(), (2,), (5, 2, 1)]:
        with pytest.raises(UserError):
            check_shape(X, found)
