"""The experiments, as data."""

import dataclasses

from ._closures import CONDITIONS
from ._settings import Cell, Experiment


def _pair(forces: int, steps: int, seeds: int) -> tuple[Cell, Cell]:
    """Full and partial forces at one budget, with the same steps."""
    chosen = tuple(range(seeds))
    return (
        Cell("exact", 1.0, forces, steps, chosen),
        Cell("lifted", 0.2, forces, steps, chosen),
    )


def _losses(forces: int, steps: int, seeds: int) -> tuple[Cell, ...]:
    """All losses of the paper at one budget, partial forces drawn blindly and by state; and what
    macrokit does unless told otherwise, with these forces and with a tenth of them."""
    common = {"steps": steps, "seeds": tuple(range(seeds))}
    by_state = {"design": "stratified-by-state", **common}
    return (
        Cell("exact", 1.0, forces, **common),
        Cell("lifted", 1.0, forces, **common),
        *(Cell("lifted", p, forces, **common) for p in _FRACTIONS),
        *(Cell("lifted", p, forces, **by_state) for p in _FRACTIONS),
        *(Cell("difference", 0.2, paid, **by_state) for paid in (forces, forces // 10)),
    )


def _released(estimator: str, sites: int, drawn: int, snapshots: int, epochs: int, **more) -> Cell:
    """What is common to the released code of all systems: AMSGrad, an affine scaling, and epochs
    instead of steps, so that full forces get fewer steps; in all but Allen–Cahn, snapshots of the
    first trajectories."""
    settings = {"batch": 256, "seeds": (0,), "order": "prefix"} | more
    return Cell(
        estimator,
        drawn / sites,
        snapshots * drawn,
        steps=epochs * -(-snapshots // settings["batch"]),
        scaling="affine",
        optimiser="amsgrad",
        metric="unit",
        **settings,
    )


def _published(forces: int, seeds: int, epochs: int) -> tuple[Cell, ...]:
    """The released code's settings for predator–prey at one budget; it draws with replacement."""

    def cell(estimator: str, fraction: float) -> Cell:
        drawn = round(100 * fraction)
        return _released(
            estimator,
            100,
            drawn,
            forces // drawn,
            epochs,
            seeds=tuple(range(seeds)),
            design="with-replacement" if fraction < 1 else "without-replacement",
            closure="paper",
        )

    return cell("exact", 1.0), *(cell("lifted", p) for p in (1.0, *_FRACTIONS))


def _published_lennard_jones(model: str) -> tuple[Cell, Cell]:
    """The same with one network: all atoms of the first five trajectories, and 50 of 800 of the
    first eighty. It measures the temperature in twentieths."""
    common = {"model": model, "closure": "paper-31", "learning_rate": 1e-3, "width": 256}
    return (
        _released("exact", 800, 800, 1_250, 2_000, observable_weight=20.0**2, **common),
        _released("lifted", 800, 50, 20_000, 2_000, batch=512, **common),
    )


def _published_allen_cahn() -> tuple[Cell, Cell]:
    """The same with three seeds: all nodes, and 1,600 draws of one, of any trajectories."""
    common = {"model": "shared-onsagernet", "closure": "paper-15", "width": 64, "depth": 2}
    common |= {"order": "spread", "seeds": (0, 1, 2)}
    partial = {"design": "with-replacement", "batch": 512, "learning_rate": 1e-3}
    return (
        _released("exact", 40_000, 40_000, 2_500, 1_000, **common),
        _released("lifted", 40_000, 1_600, 40_000, 2_000, **partial, **common),
    )


def _shortly(cell: Cell, steps: int, part: int = 1) -> Cell:
    """With a `part`-th of the forces and a closure hardly trained: to see that it runs."""
    return dataclasses.replace(
        cell, steps=steps, forces=cell.forces // part, closure=f"{cell.closure}-short"
    )


def _conditions(weights: tuple[str, ...], closure_seeds: int, steps: int, seeds: int):
    """The same learner on closures trained with more and more weight on the condition number."""
    kinds = tuple(f"condition-{weight}" for weight in weights)
    cells = _closures(kinds, closure_seeds, steps, seeds)
    return tuple(dataclasses.replace(cell, judged_on="test") for cell in cells)


def _curves(forces: int, steps: int, seeds: int) -> tuple[Cell, ...]:
    """How the error falls as training goes on, from full forces and from partial ones."""
    common = {"steps": steps, "seeds": tuple(range(seeds)), "curve": 20}
    return (
        Cell("exact", 1.0, forces, **common),
        Cell("lifted", 0.2, forces, **common),
        Cell("difference", 0.2, forces, design="stratified-by-state", **common),
    )


def _closures(kinds: tuple[str, ...], closure_seeds: int, steps: int, seeds: int):
    """The same learner on different closures, judged on validation trajectories."""
    return tuple(
        Cell(
            "lifted",
            0.2,
            60_000,
            steps,
            tuple(range(seeds)),
            closure=kind,
            closure_seed=closure_seed,
            judged_on="validation",
        )
        for kind in kinds
        for closure_seed in range(closure_seeds)
    )


def _estimators(forces: int, steps: int, seeds: int) -> tuple[Cell, ...]:
    """Every estimator with every design, on the shipped closure and on one as the paper's."""
    chosen = tuple(range(seeds))
    partial = [(e, 0.2, d) for e in ("lifted", "difference", "direct") for d in _DESIGNS]
    return tuple(
        Cell(
            estimator,
            fraction,
            forces,
            steps,
            chosen,
            design=design,
            closure=closure,
            closure_seed=closure_seed,
        )
        for closure, closure_seed in _CLOSURES
        for estimator, fraction, design in [("exact", 1.0, "without-replacement"), *partial]
    )


def _sites(steps: int, seeds: int, numbers: tuple[int, ...]) -> tuple[Cell, ...]:
    """The same learner at equal forces with more and more sites per snapshot."""
    return tuple(
        Cell(
            "lifted",
            number / 100,
            60_000,
            steps,
            tuple(range(seeds)),
            design=design,
            closure=closure,
            closure_seed=closure_seed,
            judged_on="validation",
        )
        for closure, closure_seed in _CLOSURES
        for design in ("stratified-by-state", "without-replacement")
        for number in numbers
    )


def _allen_cahn(estimator: str, closure: tuple[str, int], forces: int, sites: int, **more) -> Cell:
    """What is common to all of them: the paper's batch and width, output scales one by one, which
    rates as different as these need, and a metric that weighs all rates alike. Noise and the rate
    at which it shall decay were chosen on validation trajectories."""
    settings = {"steps": 40_000, "seeds": tuple(range(8))} | more
    return Cell(
        estimator,
        1.0 if estimator == "exact" else 1 / sites,
        forces,
        closure=closure[0],
        closure_seed=closure[1],
        design="without-replacement" if estimator == "exact" else "stratified",
        scaling="affine",
        learning_rate=1e-3,
        batch=512,
        metric="rate",
        width=64,
        noise=0.02,
        restoring=800.0,
        **settings,
    )


def _lennard_jones(estimator: str, model: str, forces: int, sites: int, **more) -> Cell:
    """What is common to all of them, chosen on validation trajectories: 31 principal directions,
    with which lifting explains nearly all of the force, and eight variables that drive the others;
    50 atoms a snapshot, the paper's number."""
    settings = {"steps": 20_000, "seeds": tuple(range(10)), "leading": 8} | more
    return Cell(
        estimator,
        1.0 if estimator == "exact" else 50 / sites,
        forces,
        model=model,
        closure="principal-31",
        scaling="affine",
        learning_rate=2e-3,
        metric="rate",
        width=128 if model == "mlp" else 64,
        noise=0.01,
        **settings,
    )


def _sizes(
    sizes: tuple[int, ...], counts: dict[str, tuple[int, ...]], steps: int, seeds: int, **more
) -> tuple[Cell, ...]:
    """One learner on boxes of more and more atoms, from more and more snapshots: the `counts` of
    each estimator, all atoms of a snapshot for "exact" and 50 of them for the others."""
    chosen = {"steps": steps, "seeds": tuple(range(seeds))} | more
    return tuple(
        _lennard_jones(
            estimator,
            "onsagernet",
            count * (atoms if estimator == "exact" else 50),
            atoms,
            atoms=atoms,
            **chosen,
        )
        for atoms in sizes
        for estimator, own in counts.items()
        for count in own
    )


_DESIGNS = (
    "with-replacement",
    "without-replacement",
    "stratified",
    "stratified-by-state",
    "systematic",
    "proportional-to-size",
)
# η = 0.0013 and, as the released one, about 0.04.
_CLOSURES = (("shipped", 0), ("linear", 1))

# (forces, steps). The paper begins at 60,000; the small budgets are where partial forces win.
_BUDGETS = (
    (6_000, 20_000),
    (20_000, 20_000),
    (60_000, 20_000),
    (300_000, 20_000),
    (2_400_000, 50_000),
)
# The paper's figure 2: budgets, and shares of the coordinates beside all of them.
_PAPERS_BUDGETS = (60_000, 150_000, 300_000, 600_000, 1_200_000, 2_400_000)
_FRACTIONS = (0.75, 0.5, 0.25, 0.2)
# Its figure 3.
_PUBLISHED_ATOMS = tuple(
    cell
    for model in ("shared-onsagernet", "relu-mlp", "gfinn")
    for cell in _published_lennard_jones(model)
)

# What each asks, and which table or figure of the paper asks it.
TITLES: dict[str, tuple[str, str]] = {
    "predator-prey": ("full against partial forces", "figure 2"),
    "predator-prey-losses": ("all losses at all budgets", "figure 2, table 2"),
    "predator-prey-condition": ("weight on the condition number", "table 3"),
    "predator-prey-curves": ("the error as training goes on", "figure 8"),
    "predator-prey-closures": ("closures to learn on", "–"),
    "predator-prey-estimators": ("every estimator, every design", "–"),
    "predator-prey-sites": ("how many sites in a snapshot", "–"),
    "lennard-jones": ("three models, 800 atoms", "figure 3, table 1"),
    "lennard-jones-sizes": ("what is saved as boxes grow", "figure 4"),
    "lennard-jones-51200": ("51,200 atoms, forces on fifty", "table 1"),
    "allen-cahn": ("40,000 nodes from one in 25", "table 1"),
    "allen-cahn-budgets": ("the same from fewer forces", "–"),
}


def _full(cells: tuple[Cell, ...]) -> Experiment:
    """On the paper's predator–prey data."""
    return Experiment("predator-prey", cells, trajectories=1600, test_trajectories=100)


def _small(cells: tuple[Cell, ...]) -> Experiment:
    """On a few predator–prey trajectories."""
    return Experiment("predator-prey", cells, trajectories=100, test_trajectories=20)


def _plane(cells: tuple[Cell, ...]) -> Experiment:
    """On the paper's Allen–Cahn data."""
    return Experiment("allen-cahn", cells, 400, 50, data={"grid": 200})


def _small_plane(cells: tuple[Cell, ...]) -> Experiment:
    """On a few small Allen–Cahn trajectories."""
    return Experiment("allen-cahn", cells, 20, 5, data={"grid": 32})


# (name, protocol, size) -> Experiment
EXPERIMENTS: dict[tuple[str, str, str], Experiment] = {
    ("predator-prey", "fair", "full"): _full(
        tuple(c for forces, steps in _BUDGETS for c in _pair(forces, steps, seeds=8))
    ),
    ("predator-prey", "fair", "small"): _small(
        tuple(c for forces in (12_000, 60_000) for c in _pair(forces, 2_000, seeds=2))
    ),
    ("predator-prey-losses", "fair", "full"): _full(
        tuple(c for forces in _PAPERS_BUDGETS for c in _losses(forces, 20_000, seeds=8))
    ),
    ("predator-prey-losses", "fair", "small"): _small(_losses(60_000, 2_000, seeds=8)),
    ("predator-prey-condition", "fair", "full"): _full(_conditions(CONDITIONS, 2, 20_000, 8)),
    ("predator-prey-condition", "fair", "small"): _small(_conditions(("0", "1e-5"), 1, 500, 2)),
    ("predator-prey-curves", "fair", "full"): _full(
        _curves(60_000, 20_000, seeds=8) + _curves(2_400_000, 20_000, seeds=8)
    ),
    ("predator-prey-curves", "fair", "small"): _small(_curves(12_000, 500, seeds=2)),
    ("predator-prey-closures", "fair", "full"): _full(
        _closures(
            ("principal", "linear", "linear+lift", "nonlinear", "nonlinear+lift"), 3, 20_000, 4
        )
    ),
    ("predator-prey-closures", "fair", "small"): _small(
        _closures(("principal", "linear"), 1, 1_000, 2)
    ),
    ("predator-prey-estimators", "fair", "full"): _full(
        _estimators(60_000, 20_000, seeds=16) + _estimators(2_400_000, 20_000, seeds=16)
    ),
    ("predator-prey-estimators", "fair", "small"): _small(_estimators(12_000, 500, seeds=2)),
    ("predator-prey-sites", "fair", "full"): _full(_sites(20_000, 8, (2, 5, 10, 20, 50, 100))),
    ("predator-prey-sites", "fair", "small"): _small(_sites(500, 2, (10, 50))),
    # 40,000 snapshots with 1,600 of 40,000 nodes; all nodes of 1,600 snapshots.
    ("allen-cahn", "fair", "full"): _plane(
        (
            *(
                _allen_cahn(estimator, ("principal-6", 0), 64_000_000, 25)
                for estimator in ("exact", "difference", "lifted")
            ),
            *(
                _allen_cahn("difference", ("principal-6", s), 64_000_000, 25, seeds=(0, 1, 2, 3))
                for s in (1, 2)
            ),
        )
    ),
    ("allen-cahn", "fair", "small"): _small_plane(
        tuple(
            _allen_cahn(estimator, ("principal-6", 0), 50 * 1024, 8, steps=300, seeds=(0, 1, 2, 3))
            for estimator in ("exact", "difference", "lifted")
        )
    ),
    # Below the budget of "allen-cahn", with half of its seeds.
    ("allen-cahn-budgets", "fair", "full"): _plane(
        tuple(
            _allen_cahn(estimator, ("principal-6", 0), n * 1_000_000, 25, seeds=(0, 1, 2, 3))
            for estimator in ("exact", "difference")
            for n in (2, 4, 8, 16, 32)
        )
    ),
    ("allen-cahn-budgets", "fair", "small"): _small_plane(
        tuple(
            _allen_cahn(estimator, ("principal-6", 0), n * 1024, 8, steps=300, seeds=(0, 1))
            for estimator in ("exact", "difference")
            for n in (10, 25)
        )
    ),
    # 1,250 snapshots with the force on all 800 atoms, or 20,000 with that on 50 of them.
    ("lennard-jones", "fair", "full"): Experiment(
        "lennard-jones",
        tuple(
            _lennard_jones(estimator, model, 1_000_000, 800)
            for model in ("onsagernet", "mlp", "gfinn")
            for estimator in ("exact", "difference", "lifted")
        ),
        trajectories=90,
        test_trajectories=10,
    ),
    ("lennard-jones", "fair", "small"): Experiment(
        "lennard-jones",
        tuple(
            _lennard_jones(estimator, model, 40_000, 800, steps=500, seeds=(0, 1, 2, 3))
            for model in ("onsagernet", "mlp", "gfinn")
            for estimator in ("exact", "difference")
        ),
        trajectories=10,
        test_trajectories=4,
    ),
    # The paper's figure 4, with one start for all sizes, against the truth.
    ("lennard-jones-sizes", "fair", "full"): Experiment(
        "lennard-jones",
        _sizes(
            (800, 2_700, 6_400, 21_600, 51_200),
            {"exact": (50, 100, 200), "difference": (200, 400, 800, 1_600)},
            10_000,
            seeds=8,
            leading=12,
        ),
        trajectories=60,
        test_trajectories=10,
        data={"start": "family", "engine": "any"},
    ),
    ("lennard-jones-sizes", "fair", "small"): Experiment(
        "lennard-jones",
        _sizes((200, 400), {"exact": (20, 50), "difference": (20, 50)}, 1_000, seeds=2),
        trajectories=10,
        test_trajectories=2,
        data={"start": "family"},
    ),
    # The paper's largest system: 307,200 coordinates, the forces on 50 atoms of 5,000 snapshots.
    ("lennard-jones-51200", "fair", "full"): Experiment(
        "lennard-jones",
        _sizes((51_200,), {"difference": (5_000,)}, 20_000, seeds=8),
        trajectories=60,
        test_trajectories=10,
        data={"start": "family", "engine": "any"},
    ),
    ("lennard-jones-51200", "fair", "small"): Experiment(
        "lennard-jones",
        _sizes((400,), {"difference": (100,)}, 3_000, seeds=2),
        trajectories=10,
        test_trajectories=2,
        data={"start": "family"},
    ),
    ("predator-prey-losses", "published", "full"): _full(
        tuple(c for forces in _PAPERS_BUDGETS for c in _published(forces, 3, epochs=2000))
    ),
    ("predator-prey-losses", "published", "small"): _small(
        tuple(_shortly(cell, 200) for cell in _published(60_000, seeds=2, epochs=1))
    ),
    ("lennard-jones", "published", "full"): Experiment(
        "lennard-jones", _PUBLISHED_ATOMS, trajectories=90, test_trajectories=10
    ),
    ("lennard-jones", "published", "small"): Experiment(
        "lennard-jones",
        tuple(_shortly(cell, 200, part=20) for cell in _PUBLISHED_ATOMS),
        trajectories=6,
        test_trajectories=2,
    ),
    ("allen-cahn", "published", "full"): _plane(_published_allen_cahn()),
    ("allen-cahn", "published", "small"): _small_plane(
        tuple(_shortly(cell, 200, part=1_000) for cell in _published_allen_cahn())
    ),
}
