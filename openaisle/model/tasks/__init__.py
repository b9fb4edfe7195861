"""Tasks: one file each with target, head, loss, metric and trivial baseline. Never: touches another task's file."""

from openaisle.model.tasks import activity, depth, hands, identity, position, product_in_hand, segmentation

DENSE_TASKS = (
    position.TASK, hands.TASK, segmentation.TASK, depth.TASK, activity.TASK, product_in_hand.TASK, identity.TASK,
)  # fmt: skip
