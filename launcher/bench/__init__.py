"""`bench`: stock against boosted on this computer, run after run in turn, each a real training of a few steps.

variants   which ways to train are compared, and the plan of each
scratch    where the runs lie while they last: nobody's history sees them, nothing of them stays
measuring  from a finished run's files to numbers
running    one run after the other
result     the rows of the table, what is kept of them, and what to say
"""

from launcher.bench.measuring import Measured
from launcher.bench.result import Row, advice, comparison_of, rows_of
from launcher.bench.running import Turn, bench, turns_of
from launcher.bench.scratch import scratch
from launcher.bench.variants import BOOSTED, STOCK, WARM_UP, Variant, plan_of, variants_of, why_not

__all__ = [
    "BOOSTED", "STOCK", "WARM_UP", "Measured", "Row", "Turn", "Variant", "advice", "bench", "comparison_of", "plan_of",
    "rows_of", "scratch", "turns_of", "variants_of", "why_not",
]  # fmt: skip
