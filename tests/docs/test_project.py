"""What people look for beside the code is there and agrees with it."""

from __future__ import annotations

import re
from inspect import ismodule
from pathlib import Path

import odenn

ROOT = Path(__file__).resolve().parents[2]


def test_one_version_everywhere() -> None:
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.*)$", citation, re.MULTILINE)[1] == odenn.__version__


def test_every_public_name_is_in_the_reference() -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs" / "reference").glob("*.md"))
    documented = set(re.findall(r"auto\w+:: (?:odenn\.)?(?:[a-z_.]+\.)?(\w+)", pages))
    names = {name for name in dir(odenn) if not name.startswith("_")} - {"Any", "TYPE_CHECKING"}
    assert {name for name in names if not ismodule(getattr(odenn, name))} <= documented
