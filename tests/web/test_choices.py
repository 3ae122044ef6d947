"""What there is to choose from, and what the page gets beside it."""

from typing import Any

import numpy as np
import pytest

import odenn
from odenn import zoo
from odenn.networks.activations import ACTIVATIONS
from odenn.optimise.presets import PRESETS
from odenn.web import choices, specification
from odenn.web.gallery import Entry, gallery
from odenn.web.specification import Limits, Specification


@pytest.mark.parametrize("entry", gallery(), ids=lambda entry: entry.name)
def test_gallery_is_the_zoo(entry: Entry) -> None:
    """With its constants as parameters it is still the same problem."""
    original = zoo.get(entry.name).problem()
    problem = Specification.of(entry.as_json()["spec"]).problem()
    assert problem.names == original.names
    assert np.array_equal(problem.initial, original.initial)
    Z = original.initial[:, None] + np.random.default_rng(0).uniform(0.1, 0.5, (original.initial.size, 5))
    t = np.linspace(*entry.span, 5)
    np.testing.assert_allclose(problem.rhs(t, Z), original.rhs(t, Z), rtol=1e-13)
    assert set(entry.ranges) == set(entry.params)
    for name, (low, high) in entry.ranges.items():
        assert low <= entry.params[name] <= high


def test_gallery_has_all_texts() -> None:
    assert [entry.name for entry in gallery()] == [p.name for p in zoo.all_problems() if p.text is not None]


def test_choices_are_those_that_are_read() -> None:
    given = choices.choices(Limits())
    for words, known in (
        ("methods", specification.METHODS),
        ("networks", specification.UNITS),
        ("activations", specification.ACTIVATIONS),
        ("optimizers", specification.OPTIMIZERS),
        ("data", specification.DATA),
    ):
        assert sorted(choice["name"] for choice in given[words]) == sorted(known)
        assert all(choice["label"] and choice["explanation"] for choice in given[words])
    assert set(specification.ACTIVATIONS) == set(ACTIVATIONS)
    assert set(specification.OPTIMIZERS) == set(PRESETS)
    assert Specification.of(given["defaults"]) == choices.DEFAULTS


def test_specification_round_trip() -> None:
    content = {
        "equations": "y' = -k*y; y(0) = 1",
        "span": [0, 5],
        "params": {"k": 2},
        "method": "data-fit",
        "network": {"hidden": [8, 8], "activation": "elu"},
        "optimizer": {"name": "adam", "lr": 0.01, "iterations": 50},
        "data": {"kind": "rk4", "step": 0.1},
        "windows": 3,
    }
    chosen = Specification.of(content)
    assert Specification.of(chosen.as_json()) == chosen
    method = chosen.chosen()
    assert method == odenn.DataFit(
        network=odenn.MLP([8, 8], "elu"),
        optimizer=odenn.TorchOptimiser(name="Adam", lr=0.01, iterations=50),
        data=odenn.RK4(0.1),
        windows=3,
        device="cpu",
    )


def test_headers(served: Any) -> None:
    """Every answer, errors included."""
    with served.client() as client:
        for path in ("/api/choices", "/static/none.js", "/api/runs/none/download/csv"):
            headers = client.get(path).headers
            assert headers["content-security-policy"].startswith("default-src 'self';")
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
        assert client.get("/api/runs").status_code == 405
        assert client.get("/api/nothing").json()["message"]
        for host in ("localhost:80", "[::1]:8765", "127.0.0.1"):
            assert client.get("/api/choices", headers={"host": host}).status_code == 200


def test_other_machines_come_by_number(serving: Any) -> None:
    """A name could be made to stand for this machine; they are told what to type instead."""
    with serving(Limits(), host="0.0.0.0", quick=1, training=1) as served, served.client() as client:
        for host in ("192.168.1.5:8765", "[fe80::1]:8765", "localhost"):
            assert client.get("/api/choices", headers={"host": host}).status_code == 200
        refused = client.get("/api/choices", headers={"host": "desk.local:8765"})
        assert refused.status_code == 403
        assert "IP address" in refused.json()["message"]


def test_plotly_is_served_once(served: Any) -> None:
    with served.client() as client:
        first = client.get("/plotly.min.js")
        assert first.status_code == 200
        assert len(first.content) > 1_000_000
        again = client.get("/plotly.min.js", headers={"if-none-match": first.headers["etag"]})
        assert again.status_code == 304
