"""macrokit: learn macroscopic dynamics from forces on a part of the microscopic coordinates.

    trajectories = mk.simulate(system, starts, duration=30, step=0.01, every=10)
    snapshots = mk.sample(system, mk.spread(trajectories, 3000, key=k1), fraction=0.2, key=k2)
    labels = mk.label(mk.estimators.Difference(), closure, snapshots)
    model = mk.fit(mk.macro_model(mk.macro.OnsagerNet(4, key=k3), labels), labels, key=k4)
    run = mk.rollout(model, closure.encode(x0), times)

Source: Chen & Li, *Learning Macroscopic Dynamics from Partial Microscopic Observations*, NeurIPS
2024.
"""

from . import designs as designs
from . import estimators as estimators
from . import experiments as experiments
from . import macro as macro
from . import systems as systems
from ._archive import StoredTrajectories as StoredTrajectories
from ._archive import simulate_to as simulate_to
from ._autoencoder import ClosureLoss as ClosureLoss
from ._autoencoder import fit_closure as fit_closure
from ._autoencoder import train_closure as train_closure
from ._closure import Closure as Closure
from ._closure import linear_closure as linear_closure
from ._closure import nonlinear_closure as nonlinear_closure
from ._diagnostics import field_error as field_error
from ._diagnostics import lift_defect as lift_defect
from ._gauge import Diagnosis as Diagnosis
from ._gauge import closure_defect as closure_defect
from ._gauge import diagnose as diagnose
from ._memory import release_memory as release_memory
from ._optimiser import Cosine as Cosine
from ._optimiser import TrainingState as TrainingState
from ._optimiser import start as start
from ._redraws import Redraws as Redraws
from ._redraws import redraw as redraw
from ._rollout import MacroModel as MacroModel
from ._rollout import Rollout as Rollout
from ._rollout import TestSet as TestSet
from ._rollout import macro_model as macro_model
from ._rollout import relative_error as relative_error
from ._rollout import rollout as rollout
from ._rollout import test_errors as test_errors
from ._sampling import Snapshots as Snapshots
from ._sampling import sample as sample
from ._sampling import spread as spread
from ._simulation import Trajectories as Trajectories
from ._simulation import simulate as simulate
from ._storage import hyperparameters as hyperparameters
from ._storage import load as load
from ._storage import load_arrays as load_arrays
from ._storage import save as save
from ._storage import save_arrays as save_arrays
from ._structure import StructureReport as StructureReport
from ._structure import structure_report as structure_report
from ._training import Progress as Progress
from ._training import fit as fit
from ._training import member as member
from ._training import stack as stack
from ._training import train as train
from .estimators import label as label
from .experiments import pretrained as pretrained
from .experiments import size as size

__version__ = "0.1.0"
