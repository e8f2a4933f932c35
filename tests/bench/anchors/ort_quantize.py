#!/usr/bin/env python3
"""ONNX Runtime's own INT8 of a model, its best settings on CPU: python ort_quantize.py MODEL OUT dynamic|static [CALIB.npz]"""
import sys

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process


class Reader(CalibrationDataReader):
    def __init__(self, path, limit=32):
        data = np.load(path)
        n = min(limit, len(data[data.files[0]]))
        self.rows = iter([{k: data[k][i:i + 1] for k in data.files} for i in range(n)])

    def get_next(self):
        return next(self.rows, None)


model, out, kind = sys.argv[1:4]
if kind == "dynamic":
    quantize_dynamic(model, out, weight_type=QuantType.QInt8, extra_options={"MatMulConstBOnly": True})
else:
    quant_pre_process(model, out + ".pre", skip_symbolic_shape=True)
    quantize_static(out + ".pre", out, Reader(sys.argv[4]), quant_format=QuantFormat.QDQ, activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8,
                    per_channel=True)
