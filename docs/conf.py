"""Sphinx: `sphinx-build -W --keep-going docs build/docs`. Nothing is fetched while building or reading."""

from __future__ import annotations

import re
import subprocess
import sys
from html import unescape
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

import odenn

HERE = Path(__file__).parent

project = "odenn"
author = "The odenn developers"
copyright = "2026, The odenn developers"  # noqa: A001 - Sphinx's name for it
version = release = odenn.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["generated"]
language = "en"
smartquotes = False  # they would make dashes of the two minus signs of options
default_role = "code"  # what single backticks mean in docstrings

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_type_aliases = {"Array": "Array", "ArrayLike": "ArrayLike", "Progress": "Progress"}
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 80
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_attr_annotations = False

html_theme = "furo"
html_title = f"odenn {release}"
html_show_sphinx = False
html_copy_source = False
html_math_renderer = "mathml"


def inline_mathml(writer: HTML5Translator, node: nodes.math) -> None:
    writer.body.append(tex2mathml(node.astext()))
    raise nodes.SkipNode


def block_mathml(writer: HTML5Translator, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>')
    raise nodes.SkipNode


def formulas_as_they_stand(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Make docstrings, which are written to be read in a terminal, reStructuredText.

    Indented formulas before the first section become literal blocks; bars for absolute values are no substitutions.
    """
    written: list[str] = []
    formula, sections = False, False
    for line in lines:
        sections = sections or (bool(line) and not line.strip("-"))
        indented = line.startswith("    ")
        if indented and not formula and not sections and written and not written[-1]:
            written += ["::", ""]
            formula = True
        elif line and not indented:
            formula = False
        written.append(line if formula else line.replace("|", "\\|"))
    lines[:] = written


def name_of_alias(
    app: Sphinx, what: str, name: str, thing: object, options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Sphinx shows an alias within a union as an object of its own making."""
    plain = [re.sub(r"TypeAliasForwardRef\('(\w+)'\)", r"\1", part or "") or None for part in (signature, returns)]
    return plain[0], plain[1]


def write_command_line(app: Sphinx) -> None:
    """Typer's description of all commands, for command-line.md to include."""
    described = subprocess.run(
        [sys.executable, "-m", "typer", "odenn.cli", "utils", "docs", "--name", "odenn"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    ).stdout
    (HERE / "generated").mkdir(exist_ok=True)
    text = re.sub(
        r"^(?:For example: )?(odenn .*)$",
        lambda found: f"```console\n{unescape(found[1])}\n```",
        described,
        flags=re.MULTILINE,
    )
    (HERE / "generated" / "command-line.md").write_text(text.partition("\n")[2], encoding="utf-8")


def setup(app: Sphinx) -> None:
    # docutils writes formulas as MathML, which every browser draws by itself: no script from another server.
    app.add_html_math_renderer("mathml", inline_renderers=(inline_mathml, None), block_renderers=(block_mathml, None))
    app.connect("autodoc-process-docstring", formulas_as_they_stand, priority=400)  # before napoleon
    app.connect("autodoc-process-signature", name_of_alias)
    app.connect("builder-inited", write_command_line)
