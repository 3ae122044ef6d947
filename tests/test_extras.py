"""What to do where a package that odenn does without is missing."""

from importlib.metadata import PackageNotFoundError

import pytest

from odenn import extras


def test_packages_are_named_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    stated = ["numpy>=2.0", "optuna>=4.2; extra == 'search'", 'cloudpickle>=3.0 ; extra == "search"', "a; extra == 'b'"]
    monkeypatch.setattr(extras, "requires", lambda name: stated)
    assert extras.remedy("search") == 'pip install "optuna>=4.2" "cloudpickle>=3.0" (the extra [search])'


def test_a_folder_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> list[str]:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(extras, "requires", unknown)
    assert extras.remedy("search") == 'pip install ".[search]" in the folder of odenn'


def test_only_what_is_missing_is_named() -> None:
    extras.need("this", "search", "json")
    with pytest.raises(ImportError, match=r"this needs no_such_module and nor_this: pip install "):
        extras.need("this", "search", "json", "no_such_module", "nor_this")
