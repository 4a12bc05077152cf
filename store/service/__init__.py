"""What the HTTP service stores besides runs: the queue of jobs, analyses and reviews."""
