"""What runs in the training environment: images through an ONNX model, tags out as JSON lines. Writes no file."""
