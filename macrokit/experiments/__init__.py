"""Experiments as data, and what runs them.

`EXPERIMENTS` holds one specification per experiment of the paper; `reproduce` runs it, resumes it
and records it, `reproduce_all` all of them; `compare` is the same contest in rounds, for a live
plot; `demo` is the short one.
"""

from ._arenas import ARENAS as ARENAS
from ._assets import example_snapshots as example_snapshots
from ._assets import lennard_jones_start as lennard_jones_start
from ._assets import make_assets as make_assets
from ._assets import pretrained as pretrained
from ._cells import run_cell as run_cell
from ._comparison import Comparison as Comparison
from ._comparison import compare as compare
from ._comparison import load_comparison as load_comparison
from ._comparison import open_comparison as open_comparison
from ._comparison import save_comparison as save_comparison
from ._contest import Contest as Contest
from ._contest import Forecast as Forecast
from ._contest import Learner as Learner
from ._contest import Score as Score
from ._contest import forecast as forecast
from ._contest import predict as predict
from ._data import Benchmark as Benchmark
from ._data import allen_cahn as allen_cahn
from ._data import allen_cahn_settings as allen_cahn_settings
from ._data import lennard_jones as lennard_jones
from ._data import predator_prey as predator_prey
from ._demo import STEPS as STEPS
from ._demo import demo as demo
from ._folders import data_folder as data_folder
from ._folders import results_folder as results_folder
from ._published import PUBLISHED as PUBLISHED
from ._released import released_closure as released_closure
from ._released import released_errors as released_errors
from ._released import released_folder as released_folder
from ._released import released_model as released_model
from ._released import released_table as released_table
from ._reproduce import device as device
from ._reproduce import read_results as read_results
from ._reproduce import reproduce as reproduce
from ._reproduce import reproduce_all as reproduce_all
from ._settings import Cell as Cell
from ._settings import Experiment as Experiment
from ._size import size as size
from ._specifications import EXPERIMENTS as EXPERIMENTS
from ._specifications import TITLES as TITLES
from ._statistics import agreement as agreement
from ._statistics import costs_to_reach as costs_to_reach
from ._statistics import forces_to_reach as forces_to_reach
from ._statistics import interval as interval
from ._statistics import means as means
from ._statistics import paired_ratio as paired_ratio
from ._statistics import rank_correlation as rank_correlation
from ._statistics import time_spent as time_spent
from ._table import overview as overview
from ._table import table as table
from ._torch_file import Module as Module
from ._torch_file import read_torch as read_torch
