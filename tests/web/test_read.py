"""Equations while they are typed."""

from typing import Any
from xml.etree import ElementTree


def test_mathematics(served: Any) -> None:
    answer = served.read("y1'' = -k*y1 + sin(x)/(1 + x); y1(0) = 1, y1'(0) = 0", params={"k": 2}, span=[0, 10])
    assert answer["ok"] is True
    assert (answer["names"], answer["orders"], answer["independent"]) == (["y1"], [2], "x")
    assert answer["parameters"] == {"k": 2.0}
    assert answer["ranges"] == {"k": [0.0, 4.0]}
    root = ElementTree.fromstring(answer["mathml"])
    assert root.tag == "{http://www.w3.org/1998/Math/MathML}math"
    tags = {element.tag.partition("}")[2] for element in root.iter()}
    assert {"mtable", "mtr", "mfrac", "msub"} <= tags
    text = "".join(root.itertext())
    assert "sin" in text
    assert "&" not in text


def test_parameters_that_are_missing(served: Any) -> None:
    """Named all at once, with the mathematics; with values, it is read."""
    answer = served.read("x' = a*x - b*x*y, y' = b*x*y - c*y; x(0) = 1, y(0) = d")
    assert answer["ok"] is False
    assert answer["missing"] == ["a", "b", "c", "d"]
    assert "mtable" in answer["mathml"]
    answer = served.read(
        "x' = a*x - b*x*y, y' = b*x*y - c*y; x(0) = 1, y(0) = d", params=dict.fromkeys(answer["missing"], 1)
    )
    assert answer["ok"] is True
    assert answer["parameters"] == {"a": 1, "b": 1, "c": 1, "d": 1}


def test_parameters_that_are_gone(served: Any) -> None:
    """A slider whose letter was deleted does not stand in the way."""
    answer = served.read("y' = -y; y(0) = 1", params={"k": 1, "old": 3})
    assert answer["ok"] is True
    assert answer["parameters"] == {}


def test_mistakes(served: Any) -> None:
    answer = served.read("y' = -y\nz' = z * * y")
    assert (answer["ok"], answer["line"], answer["field"]) == (False, 2, "equations")
    assert answer["column"] == 10
    answer = served.read("y' = -y", initial="y(0) = ")
    assert (answer["ok"], answer["field"]) == (False, "initial")


def test_comments_and_products(served: Any) -> None:
    """As they are typed; a correction is shown with its sign."""
    answer = served.read("# decay\ny' = -k y # in 1/s", initial="y(0) = 1 # pulled", params={"k": 2})
    assert (answer["ok"], answer["parameters"]) == (True, {"k": 2})
    assert served.read("y' = -k y; y(0) = 1")["missing"] == ["k"]
    assert "no equation" in served.read("# y' = -y")["message"]
    answer = served.read("# logistic\ny' = y (1 - y) # growth")
    assert (answer["line"], answer["column"]) == (2, 6)
    assert "y' = y*(1 - y)" in answer["message"]


def test_conditions_not_yet_there(served: Any) -> None:
    """The mathematics is shown, with what is missing."""
    answer = served.read("y'' = -y")
    assert answer["ok"] is False
    assert "initial values are missing" in answer["message"]
    assert "--initial" not in answer["message"]
    assert "math" in answer["mathml"]
    assert answer["missing"] == []


def test_nothing_typed_becomes_markup(served: Any) -> None:
    """What is sent back as MathML has no elements but MathML's."""
    for name in ("alpha", "ẍ", "y_1", "Ω", "straße"):
        answer = served.read(f"{name}' = -{name}; {name}(0) = 1")
        if answer["ok"]:
            assert "<script" not in answer["mathml"]
            for element in ElementTree.fromstring(answer["mathml"]).iter():
                assert element.tag.startswith("{http://www.w3.org/1998/Math/MathML}m")
                assert not any(name.startswith("on") or name == "href" for name in element.attrib)
