"""Sampling designs: which sites are drawn, and with what probability.

A design draws `number` sites of one snapshot and returns them with their weights, 1/π_i for the
inclusion probability π_i of site i. Weighted by 1/π_i, any sum over the drawn sites is an unbiased
estimate of the sum over all sites (Horvitz & Thompson 1952): E D_I = 1. A design may look at the
system (`site_positions`) and at the state, but never at a force.
"""

from ._abstract import AbstractDesign as AbstractDesign
from ._with_replacement import WithReplacement as WithReplacement
from ._without_replacement import WithoutReplacement as WithoutReplacement

TABLE = {
    "without-replacement": WithoutReplacement,
    "with-replacement": WithReplacement,
}
