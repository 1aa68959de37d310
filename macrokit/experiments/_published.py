"""What the paper printed, for comparison: {system: {loss: {forces: (mean, standard deviation)}}}.

Chen & Li 2024, three seeds each. Predator–prey: budgets of 600, 3,000 and 24,000 full snapshots.
Allen–Cahn: 2,500 full snapshots, and 1,600 of 40,000 nodes in each of 40,000 snapshots.
Lennard-Jones, by macroscopic model and with ten networks each: 1,250 full snapshots, and 50 of 800
atoms in each of 20,000 snapshots.
"""

PUBLISHED: dict[str, dict[str, dict[int, tuple[float, float]]]] = {
    "predator-prey": {
        "L_z": {
            60_000: (1.855e-2, 2.7e-3),
            300_000: (3.19e-3, 4.9e-4),
            2_400_000: (7.93e-4, 9.4e-5),
        },
        "L_{x,1/5}": {
            60_000: (4.00e-3, 1.5e-3),
            300_000: (1.34e-3, 1.6e-4),
            2_400_000: (5.70e-4, 8.1e-5),
        },
    },
    "allen-cahn": {
        "L_z": {100_000_000: (6.93e-3, 2.80e-3)},
        "L_{x,1/25}": {64_000_000: (3.98e-3, 1.58e-3)},
    },
    "lennard-jones-onsagernet": {
        "L_z": {1_000_000: (4.45e-3, 2.0e-3)},
        "L_{x,1/16}": {1_000_000: (1.17e-3, 1.8e-4)},
    },
    "lennard-jones-mlp": {
        "L_z": {1_000_000: (2.60e-2, 1.01e-2)},
        "L_{x,1/16}": {1_000_000: (1.34e-3, 2.6e-4)},
    },
    "lennard-jones-gfinn": {
        "L_z": {1_000_000: (1.28e-2, 7.4e-3)},
        "L_{x,1/16}": {1_000_000: (2.84e-3, 9.9e-4)},
    },
}
