#!/bin/bash
# Trains on two machines with eight GPUs each. On every one of them, from the checkout:
#
#     MAIN=HOST DATA=DIR bash configs/jobs/torchrun.sh
#
# HOST is the name of one of the machines; all see the same DATA and the same folder of runs.
# A run that was killed goes on with: CKPT=RUN/checkpoints/last.ckpt before the same line.
set -euo pipefail
torchrun --nnodes 2 --nproc_per_node 8 --rdzv_backend c10d --rdzv_endpoint "$MAIN:29400" --rdzv_id seqsight \
    pipelines/caption.py fit --config configs/caption/flickr8k.yaml --data.root "$DATA" \
    --trainer.num_nodes 2 --trainer.devices 8 --trainer.strategy ddp ${CKPT:+--ckpt_path "$CKPT"}
