"""One record of functions and facts per task, looked up in `registry.task_of`.

A new task is one module with a `record.TaskRecord` and one line in the registry.
"""
