"""Running models: rows of many pictures, ONNX graphs, a trainer for what stands beside a run."""
