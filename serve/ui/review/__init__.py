"""Review of labels: notes of people on the ground truth, and a queue of suspect labels."""
