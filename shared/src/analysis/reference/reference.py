#!/usr/bin/env python3
"""Computes the values that the tests of shared/src/analysis compare with, and writes them to reference.json.

    pip install scipy==1.17.1 statsmodels==0.15.0 && python3 shared/src/analysis/reference/reference.py
"""
import json
import pathlib

import numpy as np
import scipy
import statsmodels
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

rng = np.random.default_rng(20260301)

LEVELS = [0.5, 0.9, 0.95, 0.99, 0.999, 1 - 0.05 / 64]
TABLES = [
    [3, 1, 1, 3], [8, 2, 1, 5], [0, 10, 0, 12], [10, 0, 12, 0], [0, 10, 12, 0], [20, 20, 0, 80], [1, 0, 0, 1],
    [5, 95, 2, 198], [50, 950, 120, 3880], [12, 5, 29, 2], [7, 93, 7, 93], [40, 60, 35, 65], [3, 0, 5, 1000],
    [100, 9900, 250, 49750], [5000, 45000, 4800, 45200],
]
TABLES += [[int(x) for x in rng.integers(0, 40, 4)] for _ in range(40)]
TABLES = [t for t in TABLES if t[0] + t[1] and t[2] + t[3]]


def fails_passes(t):
    return [[t[0], t[1]], [t[2], t[3]]]


def chi_square(t):
    table = np.array(fails_passes(t))
    if (table.sum(axis=0) == 0).any() or (table.sum(axis=1) == 0).any():
        return 1.0
    return stats.chi2_contingency(table, correction=False).pvalue


def newcombe(t, level):
    low, high = confint_proportions_2indep(
        t[0], t[0] + t[1], t[2], t[2] + t[3], method="newcomb", compare="diff", alpha=1 - level)
    return [low, high]


P_VALUES = [[0.01, 0.04, 0.03, 0.005], [0.5], [1e-12, 0.2, 0.2, 0.9, 0.04, 0.049], list(rng.uniform(0, 0.2, 12))]


def adjusted(method):
    return [list(multipletests(p, method=method)[1]) for p in P_VALUES]


def e_divisive(values, least):
    """The statistic of Matteson and James (2014) by its definition, alpha = 1, on mid-ranks."""
    ranks = stats.rankdata(values)
    best = (None, 0.0)
    for at in range(least, len(ranks) - least + 1):
        x, y = ranks[:at], ranks[at:]
        between = np.abs(x[:, None] - y[None, :]).mean()
        inside = [np.abs(s[:, None] - s[None, :])[np.triu_indices(len(s), 1)].mean() for s in (x, y)]
        statistic = len(x) * len(y) / len(ranks) * (2 * between - inside[0] - inside[1])
        if statistic > best[1] + 1e-12:
            best = (at, statistic)
    return best


def change_point(values):
    values = np.round(np.array(values), 3)
    at, statistic = e_divisive(values, 5)
    before, after = values[:at], values[at:]
    u = stats.mannwhitneyu(after, before).statistic
    return {
        "values": list(values), "at": at, "statistic": statistic,
        "ratio": float(np.median(after[:, None] / before[None, :])),
        "superiority": u / (len(before) * len(after)),
    }


def series():
    yield np.concatenate([rng.lognormal(7, 0.1, 20), rng.lognormal(7.3, 0.1, 15)])
    yield np.concatenate([rng.lognormal(7, 0.5, 30), rng.lognormal(6.5, 0.5, 11)])
    yield np.concatenate([rng.integers(100, 110, 12), rng.integers(105, 115, 12)]).astype(float)
    yield rng.lognormal(5, 1, 41)


durations = [int(x) for x in np.clip(rng.lognormal(7, 2, 997), 0, 4e9)]
QS = [0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 1.0]

reference = {
    "made_with": f"scipy {scipy.__version__}, statsmodels {statsmodels.__version__}, numpy {np.__version__}",
    "normal_upper": [[z, float(stats.norm.sf(z))] for z in [-6, -1.5, -0.1, 0, 0.5, 1, 1.73, 1.74, 2, 3, 5, 8, 20, 37]],
    "two_sided_z": [[level, float(stats.norm.isf((1 - level) / 2))] for level in LEVELS],
    "wilson": [[p, n, level, *proportion_confint(p, n, alpha=1 - level, method="wilson")]
               for p, n in [(0, 10), (10, 10), (3, 17), (1, 1), (499, 1000), (81, 263)] for level in LEVELS],
    "newcombe": [[*t, level, *newcombe(t, level)] for t in TABLES for level in (0.95, LEVELS[-1])],
    "fisher": [[*t, stats.fisher_exact(fails_passes(t)).pvalue] for t in TABLES],
    "chi_square": [[*t, chi_square(t)] for t in TABLES],
    "p_values": P_VALUES,
    "holm": adjusted("holm"),
    "benjamini_hochberg": adjusted("fdr_bh"),
    "ranks": [[v, list(stats.rankdata(v)), float(np.median(v))] for v in ([3.0, 1, 4, 1, 5, 9, 2, 6, 5, 3], [2.0, 2], [7.0, 1, 3])],
    "change_point": [change_point(s) for s in series()],
    "quantile": {"durations": durations,
                 "inverted_cdf": [[q, float(np.quantile(durations, q, method="inverted_cdf"))] for q in QS]},
}


def plain(value):
    if isinstance(value, dict):
        return {key: plain(inside) for key, inside in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inside) for inside in value]
    return value.item() if isinstance(value, np.generic) else value


lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(plain(value))}" for key, value in reference.items())
pathlib.Path(__file__).with_name("reference.json").write_text(f"{{\n{lines}\n}}\n")
