"""All that the toolbox relies on, checked by its own kit. Add what is special about yours below."""

from toolbox.testing import check_plugin


def test_conforms() -> None:
    assert check_plugin("sketch") == []
