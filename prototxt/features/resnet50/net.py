#!/usr/bin/env python3
"""Writes deploy.prototxt: ResNet-50 (He and others, CVPR 2016, table 1).

Layers have the names of the published weights: res2a_branch2b is the second convolution
of the first block of stage 2, bn… and scale… its batch normalisation, branch1 the way
around it. Called where this file lies: python3 net.py > deploy.prototxt
"""

HEADER = """\
# ResNet-50: `data` in, `prob`, the probability of each of ImageNet's 1,000 classes,
# out. Written by net.py; `pool5` is what `--features resnet50` takes.
name: "ResNet-50"
layer {
  name: "data"
  type: "Input"
  top: "data"
  input_param { shape { dim: 8 dim: 3 dim: 224 dim: 224 } }
}
"""
STAGES = {2: (64, "abc"), 3: (128, "abcd"), 4: (256, "abcdef"), 5: (512, "abc")}


def layer(name: str, kind: str, bottoms: list[str], top: str, param: str = "") -> str:
    ways = " ".join(f'bottom: "{bottom}"' for bottom in bottoms)
    param = f"\n  {param}" if param else ""
    return f'layer {{\n  name: "{name}" type: "{kind}" {ways} top: "{top}"{param}\n}}\n'


def conv(name: str, bottom: str, outputs: int, kernel: int, stride: int = 1) -> str:
    """A convolution with batch normalisation; `name` is res2a_branch1 or conv1."""
    param = f"num_output: {outputs} kernel_size: {kernel} stride: {stride}"
    bias = "" if name == "conv1" else " bias_term: false"
    tail = f"_{name}" if name == "conv1" else name.removeprefix("res")
    return (
        layer(name, "Convolution", [bottom], name,
              f"convolution_param {{ {param} pad: {kernel // 2}{bias} }}")
        + layer(f"bn{tail}", "BatchNorm", [name], name,
                "batch_norm_param { use_global_stats: true }")
        + layer(f"scale{tail}", "Scale", [name], name,
                "scale_param { bias_term: true }")
    )  # fmt: skip


def relu(blob: str) -> str:
    return layer(f"{blob}_relu", "ReLU", [blob], blob)


def block(name: str, bottom: str, width: int, stride: int, first: bool) -> str:
    """A bottleneck: 1 x 1, 3 x 3, 1 x 1, added to what comes in."""
    ways = [f"res{name}_branch{part}" for part in ("2a", "2b", "2c")]
    text, around = "", bottom
    if first:
        around = f"res{name}_branch1"
        text += conv(around, bottom, 4 * width, 1, stride)
    text += conv(ways[0], bottom, width, 1, stride) + relu(ways[0])
    text += conv(ways[1], ways[0], width, 3) + relu(ways[1])
    text += conv(ways[2], ways[1], 4 * width, 1)
    text += layer(f"res{name}", "Eltwise", [around, ways[2]], f"res{name}")
    return text + relu(f"res{name}")


def net() -> str:
    text = HEADER + conv("conv1", "data", 64, 7, 2) + relu("conv1")
    param = "pooling_param { pool: MAX kernel_size: 3 stride: 2 }"
    text += layer("pool1", "Pooling", ["conv1"], "pool1", param)
    bottom = "pool1"
    for stage, (width, blocks) in STAGES.items():
        for letter in blocks:
            first = letter == "a"
            stride = 2 if first and stage > 2 else 1
            text += block(f"{stage}{letter}", bottom, width, stride, first)
            bottom = f"res{stage}{letter}"
    param = "pooling_param { pool: AVE kernel_size: 7 stride: 1 }"
    text += layer("pool5", "Pooling", [bottom], "pool5", param)
    param = "inner_product_param { num_output: 1000 }"
    text += layer("fc1000", "InnerProduct", ["pool5"], "fc1000", param)
    return text + layer("prob", "Softmax", ["fc1000"], "prob")


if __name__ == "__main__":
    print(net(), end="")
