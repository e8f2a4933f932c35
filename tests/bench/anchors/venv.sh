#!/bin/sh
# Makes the throw-away environment of the anchor scripts: sh venv.sh DIR
set -eu
dir=${1:?usage: sh venv.sh DIR}
python3 -m venv "$dir"
"$dir/bin/pip" -q install torch torchvision transformers onnx onnx_ir onnxscript onnxruntime tokenizers numpy
"$dir/bin/python" -c 'import onnxruntime, torch; print("onnxruntime", onnxruntime.__version__, "torch", torch.__version__)'
