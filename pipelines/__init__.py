"""How a run happens: configuration, sources, plan, stages, run, finish."""
