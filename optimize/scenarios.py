"""Models that measurements leave possible, for designs to be judged by."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import equinox as eqx
from jaxtyping import Array, Float

from diffnr.ports import AbstractPortModel, require_port_model


class Scenarios(eqx.Module):
    """Models that data leave possible: the fitted one with all its leaves moved together, as often as there are draws.

        x → x + shift_k,      k = 1 … n,      shift_k ~ the fit's own covariance

    A design is judged at its worst over them (scenario approach): a further draw exceeds the worst of n with the
    probability 1/(n + 1).

    **Fields:** `shifts`, `{path: [draw, *shape of the leaf]}`, in the leaf's unit.

    Usage: `maximise_isolation(fit.model, tolerances=fit.scenarios(40), …)`.

    Source: M. Campi and S. Garatti, SIAM J. Optim. 19, 1211 (2008).
    """

    shifts: dict[str, Float[Array, "draw ..."]]

    @property
    def draws(self) -> int:
        """How many there are."""
        return len(next(iter(self.shifts.values()), ()))


@runtime_checkable
class Fitted(Protocol):
    """A fit that knows what its data leave possible."""

    model: Any

    def scenarios(self) -> Scenarios: ...


def with_uncertainty(model: Any, tolerances: Any) -> tuple[AbstractPortModel, Any]:
    """A model and the tolerances it is judged with; a fit in its place brings its own uncertainty.

    **Raises:** `ValueError` for what is no model, nor a fit of one.
    """
    if not isinstance(model, AbstractPortModel) and isinstance(model, Fitted):
        model, tolerances = model.model, model.scenarios() if tolerances is None else tolerances
    require_port_model(model)
    return model, tolerances
