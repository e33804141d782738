"""The kit's pytest plugin, as an author of a plugin sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.test_kit_catches import GOOD, REGISTRATION

pytest_plugins = ["pytester"]

TEST = "def test_it_conforms(toolbox_check):\n    toolbox_check()\n"
NO_XDIST = ("-p", "no:xdist", "-p", "no:cacheprovider", "--strict-markers")


@pytest.fixture
def author(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder with an installed plugin ``mine``, whose augmenter draws a NumPy number."""
    place = pytester.mkdir("installed")
    monkeypatch.syspath_prepend(str(place))
    monkeypatch.setenv("PYTHONPATH", str(place), prepend=":" if Path("/").exists() else ";")
    (place / "mine.py").write_text(REGISTRATION.replace("HEAVY:", "mine_heavy:"))
    (place / "mine_heavy.py").write_text(GOOD.replace("float(rng.uniform(-255", "np.float32(rng.uniform(-255"))
    info = place / "mine-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[toolbox]\nmine = mine\n")
    return pytester


def test_each_check_is_a_test_and_a_failure_says_why(author: pytest.Pytester) -> None:
    author.makepyfile(f"import pytest\n@pytest.mark.toolbox_component('augmenter', 'brighten')\n{TEST}")
    result = author.runpytest_subprocess(*NO_XDIST, "-k", "draws-are-json or input-is-unchanged")
    result.assert_outcomes(failed=1, passed=1, deselected=None)
    result.stdout.fnmatch_lines(
        ["*augmenter brighten: the parameter 'shift' is a numpy.float32, no JSON scalar*", "*lineage*"]
    )


def test_the_configuration_names_the_plugins(author: pytest.Pytester) -> None:
    author.makeini("[pytest]\ntoolbox_plugins = mine")
    author.makepyfile(TEST)
    result = author.runpytest_subprocess(*NO_XDIST, "-k", "documented")
    result.assert_outcomes(passed=7)


def test_a_test_that_names_nothing_is_an_error_of_one_line(author: pytest.Pytester) -> None:
    author.makepyfile(
        test_nothing=TEST,
        test_plugin=f"import pytest\n@pytest.mark.toolbox_plugin('mien')\n{TEST}",
        test_component=f"import pytest\n@pytest.mark.toolbox_component('model', 'tyni')\n{TEST}",
    )
    result = author.runpytest_subprocess(*NO_XDIST)
    result.assert_outcomes(errors=3)
    for problem in (
        "names nothing to check",
        "no plugin is called 'mien'",
        "no model is called 'tyni'*tiny",
    ):
        result.stdout.fnmatch_lines([f"*{problem}*"])
    assert "pytest_plugin.py" not in result.stdout.str()  # a line, no traceback
