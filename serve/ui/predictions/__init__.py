"""The page of an inference job: its progress, its predictions and its failed images."""
