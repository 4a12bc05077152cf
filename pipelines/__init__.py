"""The steps of a run, one package per step.

In the order in which a run passes them: `config`, `models`, `data`, `planning`, `execution` and
`runs`, which submits, executes and finishes a run with all of them. `tasks` holds one record per
task, `storage` reaches files and object storage, `visualization` draws, and `model_tools` exports
and compares models.
"""
