"""The gauge: what partial forces will cost in accuracy, known before anything is trained."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from . import designs
from ._closure import Closure
from ._sampling import Snapshots, make_design, number_drawn, sample
from ._timing import measured_seconds
from ._types import AnyArray
from .systems import AbstractSystem

# The estimators, and which sum over sites makes their noise: of the lifted residual or of J f.
# Of two with equal noise the first is recommended; difference then trains better than lifted
# (`macrokit reproduce predator-prey-estimators --full`).
_SUM = {"difference": "residual", "lifted": "residual", "direct": "whole"}


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """What the gauge found; `print` it for the table and the verdict.

    - `names`: of the macroscopic variables that are judged, the `observables` first.
    - `eta`: η = Σ|f_⊥|²/Σ|f|², what lifting leaves of the force.
    - `condition`: mean and largest κ(M).
    - `defect`: δ = E Var(y | z)/Var y, the share of dz/dt that cannot be told from z; an upper
      bound, which falls with more pilot states.
    - `curves`: ν = E Var(ŷ | x)/Var y by (estimator, design), what drawing one of the `numbers` of
      the `sites` adds. - `number`: the one for which the table is made.
    - `seconds`: measured, of a site's "force", a "neighbours" list, an "encoding" with J and M.
    - `recommended`: number of sites; `best`: the (estimator, design) of the least noise.
    - `forces`: what the pilot cost.
    """

    names: tuple[str, ...]
    observables: int
    sites: int
    number: int
    eta: float
    condition: tuple[float, float]
    defect: Float[np.ndarray, " d"]
    numbers: tuple[int, ...]
    curves: Mapping[tuple[str, str], Float[np.ndarray, "numbers d"]]
    seconds: Mapping[str, float]
    recommended: int
    best: tuple[str, str]
    forces: int

    @property
    def noise(self) -> dict[tuple[str, str], Float[np.ndarray, " d"]]:
        """ν of every (estimator, design) with `number` sites."""
        index = self.numbers.index(self.number)
        return {names: curve[index] for names, curve in self.curves.items()}

    def uncertainty(self, estimator: str, design: str, number: int) -> float:
        """δ + ν(s) with s = `number` of the `numbers` of sites, averaged over the variables: the
        variance of a label about what can be told from z, as a share of Var y. At equal forces that
        of a model goes with s (δ + ν(s)). The "exact" estimator has ν = 0."""
        defect = _mean_defect(self.defect)
        if estimator == "exact":
            return defect
        return defect + float(self.curves[estimator, design][self.numbers.index(number)].mean())

    @property
    def share(self) -> float:
        """Forces for the accuracy that snapshots with every force reach, as a share of theirs:
        s (δ + ν(s))/(N δ) at the recommended number s, averaged over the variables."""
        partial = self.uncertainty(*self.best, self.recommended)
        return self.recommended * partial / (self.sites * _mean_defect(self.defect))

    @property
    def sentence(self) -> str:
        """Whether partial forces pay here, and what the problem is if there is one."""
        worst = int(np.argmax(self.defect[: self.observables]))
        defect = float(self.defect[worst])
        pays = self.share < 0.9
        number = self.recommended if pays else self.number
        noise = self.curves[self.best][self.numbers.index(number)][: self.observables].max()
        said = f"Sampling noise is {_percent(noise)} with {number} of {self.sites} sites"
        said += f" ({', '.join(self.best)}): "
        if pays:
            said += "partial forces pay"
        elif noise < 0.1:
            said += "partial forces pay where forces are few; with many, draw all sites"
        else:
            said += "sampling is the problem, draw all sites"
        if defect > 0.1:
            lost = f"{_percent(defect)} of d({self.names[worst]})/dt cannot be told from z"
            return f"{said}; {'but' if pays else 'and'} {lost}: the closure is " + (
                "the problem." if pays else "a problem too."
            )
        if self.eta > 0.5:
            return f"{said}; lifting explains {_percent(1 - self.eta)} of the force only."
        return f"{said}; lifting leaves {_percent(self.eta)} of the force unexplained."

    def __str__(self) -> str:
        titles = [f"ν, {estimator}, {design}" for estimator, design in self.noise]
        width = max(len(title) for title in titles)
        lines = [" " * width + "".join(f"{name:>16}" for name in self.names)]
        for title, values in [
            *zip(titles, self.noise.values(), strict=True),
            ("δ, cannot be told from z", self.defect),
        ]:
            lines.append(f"{title:{width}}" + "".join(f"{value:16.2e}" for value in values))
        force, neighbours, encoding = (
            self.seconds[name] for name in ("force", "neighbours", "encoding")
        )
        mean, largest = self.condition
        lines += [
            f"η = {self.eta:.2e}   κ(M) = {mean:.3g}, at most {largest:.3g}",
            f"seconds: force on a site {force:.1e}, neighbour list {neighbours:.1e}, encoding with "
            f"Jacobian {encoding:.1e}",
            f"recommended: {self.recommended} of {self.sites} sites by {', '.join(self.best)}: "
            f"{_percent(self.share)} of the forces of whole snapshots for the same accuracy",
            f"this pilot cost {self.forces:,} forces",
            self.sentence,
        ]
        return "\n".join(lines)


def diagnose(
    system: AbstractSystem,
    closure: Closure,
    x: Float[AnyArray, "snapshots sites channels"],
    *,
    fraction: float = 0.2,
    numbers: Sequence[int] | None = None,
    candidates: Mapping[str, designs.AbstractDesign] | None = None,
    leading: int | None = None,
    force_seconds: float | None = None,
) -> Diagnosis:
    """Say from a few full-force states what learning from partial forces will cost.

    Nothing is trained: where every force is known, the variance of each estimator is known for each
    design. With y = J f, site i adds Jᵢfᵢ to the direct estimate, and Jᵢ(f − A y)ᵢ to the noise of
    the lifted and of the difference estimator, whose model is assumed to be right.

    - `x`: pilot states, some 50, spread over what training will see; all their forces are computed.
    - `fraction`: share of the sites for which the table is made.
    - `numbers`: of sites, for the curves and to choose from; ten from one to all if none are given.
    - `candidates`: designs by name; by default those of the catalogue, with |Jᵢ| as size.
    - `leading`: how many variables drive the others (`macro.Driven`), if not all: their dynamics
      has to be told from them alone, and only they are judged, as only their errors grow.
    - `force_seconds`: the force on a site, where the engine to come is dearer than this one.

    The recommended one of the `numbers` of sites minimises (δ + ν(s)) (c + s), the seconds that a
    given accuracy takes: ν is the variance within snapshots, δ what is left between them once the
    model knows z, and c the seconds of a neighbour list and an encoding in units of a site's force.
    With ν = ν₁/s it is the two-stage optimum √(c ν₁/δ)
    (Cochran 1977, section 10.6). Where δ is small against ν₁/N, every force is worth its price. It
    weighs noise only: where states are still too few to learn from, fewer sites in more of them do
    better than this says.

    Raises `ValueError` with fewer than 10 states, without a candidate, or for a `fraction`, a
    number of sites or of leading variables, or seconds that there are not.
    """
    x = np.asarray(x)
    if len(x) < 10:
        raise ValueError(
            f"The gauge needs at least 10 pilot states, better 50, but got {len(x)}. "
            "Take more of them by `spread`."
        )
    if force_seconds is not None and not 0 < force_seconds < np.inf:
        raise ValueError(
            f"force_seconds must be positive, but got {force_seconds}. It is what the force on one "
            "site takes; leave it out to measure it."
        )
    if candidates is None:
        candidates = {name: make_design(name, closure) for name in designs.TABLE}
    if not candidates:
        raise ValueError(
            "There is no design among the candidates. Leave `candidates` out for all of the "
            "catalogue."
        )
    total = system.num_sites
    number = number_drawn(fraction, total)
    if numbers is None:
        numbers = np.geomspace(1, total, 10).round().astype(int).tolist()
    numbers = tuple(sorted({*numbers, number}))
    if not 1 <= numbers[0] <= numbers[-1] <= total:
        raise ValueError(
            f"The numbers of sites must lie in 1 … {total}, but got {numbers}. "
            "Leave `numbers` out for ten from one to all."
        )
    everything = sample(system, x, key=jax.random.key(0))
    names = variable_names(system, closure, x[0])
    observed = len(closure.observable(everything.x[0]))
    leading = len(names) if leading is None else leading
    if not observed <= leading <= len(names):
        raise ValueError(
            f"leading must lie between the number of observables, {observed}, and that of all "
            f"macroscopic variables, {len(names)}, but got {leading}."
        )
    facts, variances = jax.tree.map(
        lambda a: np.asarray(a, float), _pilot(system, closure, everything, candidates, numbers)
    )
    z, rates = facts["z"][:, :leading], facts["y"][:, :leading]
    scale = rates.var(axis=0)
    curves = {
        (estimator, design): np.stack(
            [variances[design, s][row][:leading] / scale for s in numbers]
        )
        for estimator, row in _SUM.items()
        for design in candidates
    }
    best = min(curves, key=lambda names: curves[names][numbers.index(number)].mean())
    seconds = measured_seconds(system, closure, everything, number)
    if force_seconds is not None:
        seconds["force"] = force_seconds
    overhead = (seconds["neighbours"] + seconds["encoding"]) / seconds["force"]
    defect = closure_defect(z, rates)
    variance = _mean_defect(defect) + curves[best].mean(axis=1)
    cost = variance * (overhead + np.array(numbers))
    return Diagnosis(
        names=names[:leading],
        observables=observed,
        sites=total,
        number=number,
        eta=float(facts["outside"].sum() / facts["force"].sum()),
        condition=(float(facts["condition"].mean()), float(facts["condition"].max())),
        defect=defect,
        numbers=numbers,
        curves=curves,
        seconds=seconds,
        recommended=numbers[int(np.argmin(cost))],
        best=best,
        forces=everything.forces,
    )


def variable_names(
    system: AbstractSystem, closure: Closure, x: Float[AnyArray, "sites channels"]
) -> tuple[str, ...]:
    """Of the macroscopic variables: the observables', then ẑ1, ẑ2 …"""
    x = jnp.asarray(x)
    observed, learned = len(closure.observable(x)), len(closure.encoder(x))
    named = tuple(system.observable_names)
    if len(named) != observed:  # the closure's own
        named = tuple(f"z*{k + 1}" for k in range(observed))
    return (*named, *(f"ẑ{k + 1}" for k in range(learned)))


@eqx.filter_jit
def _pilot(
    system: AbstractSystem,
    closure: Closure,
    snapshots: Snapshots,
    candidates: Mapping[str, designs.AbstractDesign],
    numbers: tuple[int, ...],
) -> tuple[dict[str, Array], dict[tuple[str, int], dict[str, Array]]]:
    """What each state says, and the mean variance of both sums by design and number of sites."""
    paid = jnp.asarray(snapshots.paid)

    def one(snapshot: tuple[Array, Array]) -> tuple[dict, dict]:
        x, f = snapshot
        y = closure.velocity(x, f)
        outside = closure.residual(x, f, y)
        sums = {
            name: jnp.einsum("dnc,nc,c->nd", closure.jacobian(x), values, paid)
            for name, values in (("whole", f), ("residual", outside))
        }
        variances = {
            (name, number): {
                row: design.variance(system, x, number, values) for row, values in sums.items()
            }
            for name, design in candidates.items()
            for number in numbers
        }
        facts = {
            "z": closure.encode(x),
            "y": y,
            "outside": (outside**2).sum(),
            "force": (f**2).sum(),
            "condition": closure.condition(x),
        }
        return facts, variances

    facts, variances = jax.lax.map(one, (snapshots.x, snapshots.force))
    return facts, jax.tree.map(lambda a: a.mean(axis=0), variances)


def closure_defect(
    z: Float[AnyArray, "states variables"], y: Float[AnyArray, "states rates"]
) -> Float[np.ndarray, " rates"]:
    """δ = E Var(y | z)/Var y of each rate: the share of it that cannot be told from z; an upper
    bound, which falls with more states. For variables of your own choice, before they are made a
    closure.

    What a kernel ridge regression of y on z misses on the state that it was not given:
    leave-one-out residuals in closed form, rᵢ = αᵢ/(K + λ)⁻¹ᵢᵢ; of all kernels and λ, the best one.

    - `z`: of some 50 states or more. - `y`: rates of change there.

    Raises `ValueError` when they are not of the same states, or with fewer than 10.
    """
    z, y = np.asarray(z, float), np.asarray(y, float)
    if z.ndim != 2 or y.ndim != 2 or len(z) != len(y) or len(z) < 10:
        raise ValueError(
            "z and y must hold one row for each of at least 10 states, but have shapes "
            f"{z.shape} and {y.shape}."
        )
    z, y = ((a - a.mean(axis=0)) / np.where(a.std(axis=0) > 0, a.std(axis=0), 1) for a in (z, y))
    distance = ((z[:, None] - z[None]) ** 2).sum(axis=-1) / z.shape[1]
    missed = np.ones(y.shape[1])  # the mean alone
    # A smooth function about a linear or a quadratic one, which forces often are: far from the
    # other states, where a Gaussian says nothing, these still do.
    trends = (1 + z @ z.T, (1 + z @ z.T / z.shape[1]) ** 2)
    for trend, width in itertools.product(trends, (0.5, 1.0, 2.0, 4.0, 8.0)):
        values, vectors = np.linalg.eigh(np.exp(-distance / (2 * width**2)) + trend)
        for ridge in 10.0 ** np.arange(-8, 2):
            inverse = (vectors / (values + ridge)) @ vectors.T
            residual = inverse @ y / np.diag(inverse)[:, None]
            missed = np.minimum(missed, (residual**2).mean(axis=0))
    return missed


def _mean_defect(defect: np.ndarray) -> float:
    """δ averaged over the variables; never quite nothing, so that it can be divided by."""
    return max(float(defect.mean()), 1e-9)


def _percent(share: float) -> str:
    if share < 1e-4:
        return "less than 0.01 %"
    return f"{100 * share:.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"
