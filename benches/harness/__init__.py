"""What `run.py` is made of: the plan, the processes, the report."""
