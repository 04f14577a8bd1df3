"""Small convolutional networks in offline stages: written down as ONNX in memory, run by OpenCV.

Workers need no torch for them: it takes seconds to load and hundreds of megabytes, and is no faster on one core.
"""
