"""MATLAB 5 files as scipy's own tests hold them: whole ones pass, damaged ones are refused before C code sees them."""

from pathlib import Path

import pytest
import scipy.io

from data.mat_structure import check_structure

EXAMPLES = Path(scipy.io.__file__).parent / "matlab/tests/data"
KINDS = (
    "double",
    "complex",
    "matrix",
    "minus",
    "string",
    "cell",
    "cellnest",
    "struct",
    "structnest",
    "3dmatrix",
    "sparse",
    "sparsecomplex",
)
OTHERS = ("object", "func")


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="this scipy came without its test data")
@pytest.mark.parametrize("kind", KINDS)
def test_files_of_matlab_itself_pass(kind: str) -> None:
    files = [file for file in EXAMPLES.glob(f"test{kind}_*.mat") if "_4." not in file.name]
    assert files
    for file in files:
        names = [name for name, *_ in scipy.io.whosmat(str(file))]
        assert check_structure(file.read_bytes(), names) == names


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="this scipy came without its test data")
@pytest.mark.parametrize("kind", OTHERS)
def test_what_is_not_asked_for_may_be_anything(kind: str) -> None:
    for file in EXAMPLES.glob(f"test{kind}_7*.mat"):
        content = file.read_bytes()
        names = check_structure(content, ())
        assert names
        with pytest.raises(ValueError, match="neither numbers nor text"):
            check_structure(content, names)


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="this scipy came without its test data")
@pytest.mark.parametrize("name", ["malformed1", "corrupted_zlib_checksum", "corrupted_zlib_data"])
def test_damaged_files_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"cut short|damaged"):
        check_structure((EXAMPLES / f"{name}.mat").read_bytes(), ("x",))


@pytest.mark.parametrize("content", [b"", b"MATLAB", bytes(200)])
def test_other_files_are_not_judged(content: bytes) -> None:
    assert check_structure(content, ("boxes",)) is None
