"""Which device networks are trained on."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from odenn.device import store

if TYPE_CHECKING:
    import torch

# Work (see `work_of`) from which first-order training goes to an accelerator that was not measured: a tenth of a second
# a step on one core (measured: 10 ms at 1e7), in which starting a hundred kernels is lost. Gauss-Newton steps factorise
# matrices in float64, at which GPUs for games are slow: they stay on the CPU until `odenn bench-device` has measured
# otherwise.
LEAST_WORK = 1e8
CPU_NAMES = ("cpu", "cpu:0")  # torch takes "cpu:3" as well, and means the same


def work_of(*, weights: int, residuals: int, gauss_newton: bool) -> int:
    """What the time of a step goes with: the size of the Jacobian; where that is factorised, times its short side.

    Examples
    --------
    >>> work_of(weights=100, residuals=20, gauss_newton=False), work_of(weights=100, residuals=20, gauss_newton=True)
    (2000, 40000)
    """
    return weights * residuals * (min(weights, residuals) if gauss_newton else 1)


def check_device(device: Any) -> None:
    """Refuse what is neither "auto" nor a device of torch.

    Raises
    ------
    ValueError
        With what is accepted.
    """
    import torch

    if device == "auto":
        return
    try:
        if not isinstance(device, str | torch.device):
            raise TypeError
        place = torch.device(device)
    except (RuntimeError, TypeError):
        raise ValueError(f'`device` must be "auto", "cpu", "cuda" or a torch.device, got {device!r}') from None
    if place.type == "cpu" and str(place) not in CPU_NAMES:
        raise ValueError(f'`device` is {str(place)!r}, but there is one CPU, which has all cores: say "cpu"')


def chosen(device: str | torch.device, *, weights: int, residuals: int, gauss_newton: bool) -> torch.device:
    """The device to train on.

    Parameters
    ----------
    device
        "auto", or a device of torch, which is taken if it works.
    weights, residuals
        That one step has to do with.
    gauss_newton
        Whether the steps are those of Levenberg-Marquardt.

    Raises
    ------
    ValueError
        Where the device that was asked for is not there or has no float64.
    """
    import torch

    if device == "auto":
        work = work_of(weights=weights, residuals=residuals, gauss_newton=gauss_newton)
        place = torch.device("cuda" if _pays(work, gauss_newton) and torch.cuda.is_available() else "cpu")
        known = store.find()
        if place.type == "cuda" and known is not None and known.accelerator != torch.cuda.get_device_name(place):
            place = torch.device("cuda" if pays(None, work, gauss_newton) else "cpu")  # another GPU was measured
        return place
    place = torch.device(device)
    if place.type == "mps":
        raise ValueError(
            "device 'mps' (Apple's GPU) has no float64, which odenn computes in; in float32 relative errors end at "
            'about 1e-7. Use device="cpu"'
        )
    try:
        if place.type == "meta":
            raise TypeError("it holds no values")
        torch.zeros(1, dtype=torch.float64, device=place)
    except Exception as error:
        lines = str(error).splitlines() or [""]
        raise ValueError(
            f"device {str(place)!r} cannot be used ({lines[0]}): `odenn doctor` looks for the reason; "
            'device="cpu" works everywhere'
        ) from error
    return place


def _pays(work: int, gauss_newton: bool) -> bool:
    return pays(store.find(), work, gauss_newton)


def pays(known: store.Measured | None, work: int, gauss_newton: bool) -> bool:
    """Whether the accelerator is expected to be faster: as measured, else by a rule on the safe side.

    Examples
    --------
    >>> pays(None, work=4_000, gauss_newton=True), pays(None, work=10**9, gauss_newton=False)
    (False, True)
    """
    if known is None:
        return not gauss_newton and work >= LEAST_WORK
    crossover = known.gauss_newton if gauss_newton else known.first_order
    return work >= (math.inf if crossover is None else crossover)
