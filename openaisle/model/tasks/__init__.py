"""Tasks: one file each with target, head, loss, metric and trivial baseline. Never: touches another task's file."""

from openaisle.model.tasks import activity, depth, hands, identity, position, segmentation

DENSE_TASKS = (
    position.TASK, hands.TASK, segmentation.TASK, depth.TASK, activity.TASK, identity.TASK,
)  # fmt: skip
