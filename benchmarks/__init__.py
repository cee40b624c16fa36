"""Benchmarks beside the peers, as ratios of one run: ``make bench``. See ``docs/performance.md``."""
