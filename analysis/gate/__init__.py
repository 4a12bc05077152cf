"""The gate: rules that a run has to meet, alone or against a baseline."""
