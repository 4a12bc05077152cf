"""Metrics of a set of results: pure functions, without Ray, SQL or torch.

- ``tasks``: the metrics and the comparison of predictions of each task, by one record per task.
- ``classification``, ``detection``: the states and reports of the tasks.
- ``matching``: objects of result rows, their overlaps, and the matcher that all metrics use.
- ``slices``: the metrics of slices of a set.
- ``errors``: the images and objects behind a number.
- ``parity``: the comparison of two models' predictions.
- ``statistics``: confidence intervals, the bootstrap, and sums that do not depend on their order.
- ``accumulator``: states of many parts in bounded memory. ``finite``: numbers for JSON.
- ``examples``: small tables of result rows, for docstrings.
"""
