"""Shape aliases, and the glossary of axis names used in every annotation.

| axis          | meaning                                                                     |
|---------------|-----------------------------------------------------------------------------|
| `sites`       | microscopic sites, the unit in which forces are computed and paid for       |
| `channels`    | numbers per site (1 for a field, 6 for an atom: position and velocity)      |
| `drawn`       | sites drawn in one snapshot                                                 |
| `snapshots`   | microscopic states in a data set                                            |
| `trajectories`, `times` | simulated runs, stored frames of each run                         |
| `d`           | macroscopic variables z = (z*, ẑ): observables first, then learned closures |
| `members`     | networks (or seeds) of an ensemble                                          |

Letters inside functions are those of Chen & Li (NeurIPS 2024): x microscopic state, f = dx/dt its
force, z = φ(x), J = φ′(x), M = J Jᵀ, A = Jᵀ M⁻¹ the lift, g(z) ≈ dz/dt.
"""

import jaxtyping
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

State = Float[Array, "sites channels"]
Macro = Float[Array, " d"]
Sites = Int[Array, " drawn"]
Weights = Float[Array, " drawn"]
DrawnForce = Float[Array, "drawn channels"]
Jacobian = Float[Array, "d sites channels"]
Key = PRNGKeyArray
Keys = jaxtyping.Key[Array, "..."]  # one, or one per member
# What a user may pass: Float[AnyArray, "…"] is a NumPy or a JAX array of that shape.
AnyArray = Array | np.ndarray
