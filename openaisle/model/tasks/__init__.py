"""Tasks: one file each with target, head, loss, metric and trivial baseline. Never: touches another task's file."""
