"""Where a model runs: devices, threads, and inspection in a process of its own."""
