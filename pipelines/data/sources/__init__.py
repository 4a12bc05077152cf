"""Where labelled images come from: each source yields the manifest of a run."""
