"""Trained networks in a file: the trial solution of each window, and the weights of the networks in it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from odenn.methods.trained import Piece, Stage, TrainedNetworks
from odenn.networks.mlp import MLP, MLPWeights
from odenn.storage.checks import Arrays, Content, StorageError, damaged, take, take_array
from odenn.storage.windows import check_sequence
from odenn.trial import InitialTrial

MAX_ORDER = 100  # of an equation; the time to evaluate a trial solution grows with its cube


def store_trained(name: str, trained: TrainedNetworks, arrays: dict[str, NDArray[Any]]) -> dict[str, Any]:
    """Description of the networks; their arrays are put into `arrays` under `name`.

    Arrays of W windows, n components, S networks of all windows together: `start`, `length`, `stages` (how many
    networks) (W,), `orders` and `size` (W, n), `values` one after the other; `weights` (S, P) and `scale` (S, n).

    Raises
    ------
    StorageError
        If a network is a module of the user's own, whose class no file can hold.
    """
    trials = [piece.trial for piece in trained.pieces]
    stages = [stage for piece in trained.pieces for stage in piece.stages]
    networks = {stage.network for stage in stages}
    for network in networks:
        if not isinstance(network, MLPWeights):
            raise StorageError(
                f"the network is of the class {network.kind}: its weights could be stored, not its class. Train an "
                "odenn.MLP, or keep this one by solution.export_onnx(path), which needs no class, or by "
                "torch.save(solution.network.state_dict(), path)"
            )
    if len(networks) > 1:
        raise StorageError("networks of different widths or activations cannot be stored together")
    n = trained.n
    parts = {
        "start": trained.start,
        "length": trained.length,
        "orders": np.array([[len(row) for row in trial.values] for trial in trials], dtype=np.int64).reshape(-1, n),
        "values": np.array([value for trial in trials for row in trial.values for value in row], dtype=np.float64),
        "size": _stacked([trial.scale for trial in trials], n),
        "stages": np.array([len(piece.stages) for piece in trained.pieces], dtype=np.int64),
        "weights": _stacked([stage.w for stage in stages], networks.copy().pop().size if networks else 0),
        "scale": _stacked([stage.scale for stage in stages], n),
    }
    arrays.update({f"{name}.{part}": array for part, array in parts.items()})
    description: dict[str, Any] = {"network": "mlp", "decay": [trial.decay for trial in trials]}
    for network in networks:
        assert isinstance(network, MLPWeights)
        description |= {"hidden": list(network.widths[1:-1]), "activation": network.activation.name}
    return description


def restore_trained(name: str, network: Content, arrays: Arrays, n: int) -> TrainedNetworks:
    """Trained networks of n components from their description."""

    def part(which: str, *shape: int | None, dtype: type = np.float64) -> NDArray[Any]:
        return take_array(arrays, f"{name}.{which}", shape, dtype)

    start = part("start", None)
    W = start.size
    length = part("length", W)
    check_sequence(name, start, length)
    orders = part("orders", W, n, dtype=np.int64)
    if ((orders < 1) | (orders > MAX_ORDER)).any():
        raise damaged(f"the {name} have orders beyond 1 to {MAX_ORDER}")
    values, size = part("values", int(orders.sum())).tolist(), part("size", W, n)
    weights = part("weights", None, None)
    S = len(weights)
    scale, stages = part("scale", S, n), part("stages", W, dtype=np.int64)
    if ((stages < 0) | (stages > S)).any() or stages.sum() != S:
        raise damaged(f"the {name} have {S} networks, not as many as they should")
    decay = take(network, "decay", list)
    if len(decay) != W:
        raise damaged(f"`decay` has {len(decay)} entries for {W} windows")
    layers = _layers(name, network, n, weights.shape[1]) if S else None
    pieces: list[Piece] = []
    v = s = 0
    for w in range(W):
        rows: list[tuple[float, ...]] = []
        for order in orders[w].tolist():
            rows.append(tuple(values[v : v + order]))
            v += order
        try:
            trial = InitialTrial(
                start=float(start[w]),
                length=float(length[w]),
                values=tuple(rows),
                scale=_tensor(size[w]),
                decay=decay[w],
            )
        except ValueError as error:
            raise damaged(f"window {w} of the {name} cannot be: {error}") from error
        own = range(s, s + int(stages[w]))
        s = own.stop
        pieces.append(Piece(trial, tuple(Stage(layers, _tensor(weights[i]), _tensor(scale[i])) for i in own if layers)))
    return TrainedNetworks(tuple(pieces), n)


def _layers(name: str, network: Content, n: int, size: int) -> MLPWeights:
    hidden, activation = take(network, "hidden", list), take(network, "activation", str)
    try:
        layers = MLP(hidden, activation).trainable(n)
    except ValueError as error:
        raise damaged(f"the network of the {name} cannot be: {error}") from error
    if layers.size != size:
        raise damaged(f"the {name} have {size} weights each, where {layers.kind} needs {layers.size}")
    return layers


def _stacked(rows: list[torch.Tensor], width: int) -> NDArray[np.float64]:
    out = [row.detach().cpu().numpy() for row in rows]
    return np.stack(out).astype(np.float64) if out else np.empty((0, width))


def _tensor(row: NDArray[Any]) -> torch.Tensor:
    """In memory of its own: how it is aligned can decide the last bit of a matrix product."""
    return torch.tensor(row, dtype=torch.float64, device="cpu")
