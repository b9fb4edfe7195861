"""Edge: the same model small and fast. In: weights or ONNX files. Out: a predictor without torch. Never: trains."""
