"""The work on a unit, shared by both engines.

The way of one image: `unit_worker.UnitWorker.score` -> `unit_steps.score_images` ->
`preprocess.ImagePreparer.prepare` (label, read, decode, preprocess) -> `unit_steps.infer_images` ->
`result_rows.result_table` -> `unit_steps.write_unit`.
"""
