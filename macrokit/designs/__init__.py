"""Sampling designs: which sites are drawn, and with what probability.

A design draws `number` sites of one snapshot and returns them with weights w such that any sum over
the drawn sites, weighted, is an unbiased estimate of the sum over all sites: E Σ w a = Σ a. Where
no site is drawn twice, w = 1/π for the inclusion probability π (Horvitz & Thompson 1952); where
sites are drawn independently, w = 1/(n p) for the probability p at each draw (Hansen & Hurwitz
1943). A design may look at the system and at the state, but never at a force. It knows its
inclusion probabilities, and the variance of any weighted sum.
"""

import functools

from ._abstract import AbstractDesign as AbstractDesign
from ._proportional_to_size import ProportionalToSize as ProportionalToSize
from ._stratified import Stratified as Stratified
from ._systematic import Systematic as Systematic
from ._with_replacement import WithReplacement as WithReplacement
from ._without_replacement import WithoutReplacement as WithoutReplacement

TABLE = {
    "without-replacement": WithoutReplacement,
    "with-replacement": WithReplacement,
    "stratified": Stratified,
    "stratified-by-state": functools.partial(Stratified, "state"),
    "systematic": Systematic,
    "proportional-to-size": ProportionalToSize,
}
