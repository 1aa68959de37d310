"""Figures: arrays in, plotly `Figure` out. No widgets, no state.

Lines have Okabe and Ito's colours and fields the cividis map, which colour-blind readers can tell
apart; the paper is transparent and the ink a grey that reads on light and dark pages.
"""

from ._overlay import CELLS as CELLS
from ._overlay import Line as Line
from ._overlay import overlay_axes as overlay_axes
from ._overlay import overlay_figure as overlay_figure
from ._overlay import overlay_traces as overlay_traces
from ._paper import agreement_figure as agreement_figure
from ._paper import beside_figure as beside_figure
from ._paper import conditions_figure as conditions_figure
from ._paper import curves_figure as curves_figure
from ._paper import losses_figure as losses_figure
from ._paper import savings_figure as savings_figure
from ._paper import seconds_figure as seconds_figure
from ._predicted import predicted_figure as predicted_figure
from ._predicted import sweep_figure as sweep_figure
from ._runs import atoms_figure as atoms_figure
from ._runs import demo_figure as demo_figure
from ._runs import error_traces as error_traces
from ._runs import field_figure as field_figure
from ._runs import observable_traces as observable_traces
from ._runs import observables_figure as observables_figure
from ._runs import plane_figure as plane_figure
from ._runs import recorded_figure as recorded_figure
from ._runs import score_traces as score_traces
from ._runs import scores_figure as scores_figure
from ._runs import sites_figure as sites_figure
from ._scaling import scaling_figure as scaling_figure
from ._style import COLOURS as COLOURS
from ._style import ERROR as ERROR
from ._style import FIELD_ERROR as FIELD_ERROR
from ._style import FORCES as FORCES
from ._style import GREY as GREY
from ._style import TIME as TIME
from ._style import forces_axis as forces_axis
from ._style import log_axis as log_axis
from ._style import log_range as log_range
from ._style import style as style
from ._survey import histogram_traces as histogram_traces
from ._survey import noise_figure as noise_figure
from ._survey import redraws_figure as redraws_figure
from ._survey import running_z as running_z
