"""Features and predictions by workers of a Ray cluster: the same rows, from more processors.

Reading order: ray_cluster (reached, looked over, let go of) · node_checks (what each node must see) · block_stream
(blocks of images out, what workers make of them back) · row_worker (rows for the feature cache), picture_worker
(predictions).
"""
