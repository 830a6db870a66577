"""The networks that are timed: as Caffe's messages, and as plain data for PyTorch."""

from pathlib import Path

from caffe.proto import caffe_pb2
from google.protobuf.message import Message

from dec.base.errors import DecError
from dec.nets import prototxt

CLASSES = 1000
# Small enough for weights to stay finite, and large enough to move them by more than
# float32's resolution; of the net or else of the image nets.
RATES = {
    "dec": 0.01,
    "alexnet-bn": 1e-3,
    "caffenet-small": 1e-3,
    "deepcluster-cifar10": 1e-3,
    "net": 1e-5,
}


def build(net: str, mode: str, batch: int, rows: str = "memory") -> Message:
    """A network of the plan (lines.py) with all layers of one phase, and no others.

    Rows from memory are two Input layers, `data` and `label`.
    """
    if net == "alexnet-bn":
        return alexnet_bn(batch)
    train, stages = mode == "train", ["memory"]
    if net.startswith("dec-"):
        name = {"dec-phase2": "dec", "dec-encoder": "dec"}.get(net, net[4:])
        file = f"prototxt/dec/mnist/{name}.prototxt"
    elif net.startswith("deepcluster-"):
        name = "train" if train else "deploy"
        file = (
            f"prototxt/deepcluster/{net.removeprefix('deepcluster-')}/{name}.prototxt"
        )
    else:
        name = "train_val" if train else "deploy"
        folder = "small" if net == "caffenet-small" else "photos"
        file = f"prototxt/caffenet/{folder}/{name}.prototxt"
    message = prototxt.read_net(Path(file))
    kept = [layer for layer in message.layer if _stays(layer, train, stages)]
    if net == "dec-encoder" and rows == "memory":
        kept = [layer for layer in kept if layer.type != "MultiTLoss"]
    result = caffe_pb2.NetParameter(name=net)
    for layer in kept:
        new = result.layer.add()
        new.CopyFrom(layer)
        del new.include[:], new.exclude[:]
        if layer.type == "Data" and rows == "memory":
            _put_input(result, new, net, batch)
        elif layer.type == "Data":
            new.data_param.batch_size = batch
        elif layer.type == "Input":
            new.input_param.shape[0].dim[0] = batch
        elif layer.name == "fc8_photos":
            new.inner_product_param.num_output = CLASSES
    return result


def _stays(layer: Message, train: bool, stages: list[str]) -> bool:
    """Whether a layer is in the net (Net::FilterNet; no levels in ours)."""
    phase = caffe_pb2.TRAIN if train else caffe_pb2.TEST

    def meets(rule: Message) -> bool:
        return (
            (not rule.HasField("phase") or rule.phase == phase)
            and set(rule.stage) <= set(stages)
            and not set(rule.not_stage) & set(stages)
        )

    if layer.include:
        return any(meets(rule) for rule in layer.include)
    return not any(meets(rule) for rule in layer.exclude)


def _put_input(net: Message, layer: Message, name: str, batch: int) -> None:
    """An Input layer in place of a Data layer."""
    side = layer.transform_param.crop_size
    row = [3, side, side] if side else [784]
    tops = list(layer.top)
    layer.Clear()
    layer.name, layer.type = "data", "Input"
    layer.top.extend(tops)
    for top in tops:
        dims = [batch, *(row if top == "data" else [])]
        layer.input_param.shape.add().dim.extend(dims)


def alexnet_bn(batch: int) -> Message:
    """DeepCluster's AlexNet for colour images, 224 x 224, to train.

    M. Caron et al., Deep Clustering for Unsupervised Learning of Visual Features,
    ECCV 2018, and models/alexnet.py of facebookresearch/deepcluster: AlexNet
    without groups and LRN, with batch normalisation after every convolution.
    """
    from caffe import NetSpec
    from caffe import layers as L
    from caffe import params as P

    rates = [{"lr_mult": 1, "decay_mult": 1}, {"lr_mult": 2, "decay_mult": 0}]
    net = NetSpec()
    net.data, net.label = L.Input(
        ntop=2, shape=[{"dim": [batch, 3, 224, 224]}, {"dim": [batch]}]
    )
    top, pools = net.data, {1: "pool1", 2: "pool2", 5: "pool5"}
    plan = [(96, 11, 4, 2), (256, 5, 1, 2), (384, 3, 1, 1), (384, 3, 1, 1)]
    for i, (width, kernel, stride, pad) in enumerate([*plan, (256, 3, 1, 1)], 1):
        top = net[f"conv{i}"] = L.Convolution(
            top,
            num_output=width,
            kernel_size=kernel,
            stride=stride,
            pad=pad,
            param=rates,
        )
        top = net[f"bn{i}"] = L.BatchNorm(top, in_place=True)
        top = net[f"scale{i}"] = L.Scale(top, bias_term=True, in_place=True)
        top = net[f"relu{i}"] = L.ReLU(top, in_place=True)
        if i in pools:
            pool = {"pool": P.Pooling.MAX, "kernel_size": 3, "stride": 2}
            top = net[pools[i]] = L.Pooling(top, pooling_param=pool)
    for i, width in ((6, 4096), (7, 4096), (8, CLASSES)):
        if i < 8:
            top = net[f"drop{i}"] = L.Dropout(top, dropout_ratio=0.5)
        top = net[f"fc{i}"] = L.InnerProduct(top, num_output=width, param=rates)
        if i < 8:
            top = net[f"relu_fc{i}"] = L.ReLU(top, in_place=True)
    net.loss = L.SoftmaxWithLoss(top, net.label)
    return net.to_proto()


def stock(net: Message) -> None:
    """Asks for Caffe's own layers, by `engine: CAFFE` wherever there is the field."""
    names = [field.name for field in caffe_pb2.LayerParameter.DESCRIPTOR.fields]
    for layer in net.layer:
        kind = layer.type.lower().removesuffix("withloss")
        for name in names:
            if name.removesuffix("_param").replace("_", "") == kind:
                param = getattr(layer, name)
                if "engine" in param.DESCRIPTOR.fields_by_name:
                    param.engine = param.CAFFE


def without_dropout(net: Message) -> None:
    """Takes the Dropout layers out, so that both sides' numbers can be compared."""
    names: dict[str, str] = {}
    kept = []
    for layer in net.layer:
        bottoms = [names.get(bottom, bottom) for bottom in layer.bottom]
        if layer.type == "Dropout":
            names[layer.top[0]] = bottoms[0]
            continue
        layer.bottom[:] = bottoms
        kept.append(caffe_pb2.LayerParameter.FromString(layer.SerializeToString()))
    del net.layer[:]
    net.layer.extend(kept)


def solver(net: Message, name: str) -> caffe_pb2.SolverParameter:
    """SGD with momentum, as all of the nets' own solvers have it."""
    dec = name.startswith("dec-")
    kind = "dec" if dec else name
    return caffe_pb2.SolverParameter(
        net_param=net,
        base_lr=RATES.get(kind, RATES["net"]),
        lr_policy="fixed",
        momentum=0.9,
        weight_decay=0 if dec else 0.0005,
        max_iter=10**9,
        random_seed=1,
        snapshot_after_train=False,
    )


def facts(net: Message, name: str) -> dict:
    """A net with its inputs, and its solver, as plain data for torch_side.py."""
    caffes = solver(net, name)
    shapes = {
        top: list(shape.dim)
        for layer in net.layer
        for top, shape in zip(layer.top, layer.input_param.shape, strict=False)
    }
    return {
        "layers": plan(net),
        "inputs": shapes,
        "rate": caffes.base_lr,
        "momentum": caffes.momentum,
        "decay": caffes.weight_decay,
    }


def plan(net: Message) -> list[dict]:
    """A net's layers as plain data.

    Raises DecError for what PyTorch's side has not got.
    """
    layers: list[dict] = []
    for layer in net.layer:
        if layer.type in ("Input", "Data", "Silence"):
            continue
        facts = _facts(layer, net.name)
        if layer.type == "Scale":  # PyTorch's batch normalisation has it within
            before = layers[-1]
            if before["type"] != "BatchNorm" or before["top"] != layer.bottom[0]:
                raise DecError(f"{net.name}: {layer.name}: no BatchNorm before it")
            before |= {"scale": layer.name, "top": layer.top[0]}
            before["rates"] = facts["rates"]
        else:
            layers.append(facts)
    return layers


def _facts(layer: Message, net: str) -> dict:
    params = list(layer.param) or [caffe_pb2.ParamSpec()] * 2
    facts = {
        "name": layer.name,
        "type": layer.type,
        "bottom": list(layer.bottom),
        "top": layer.top[0],
        "rates": [[p.lr_mult, p.decay_mult, p.momentum_mult] for p in params],
    }
    if layer.type == "Convolution":
        p = layer.convolution_param
        facts |= {
            "width": p.num_output,
            "kernel": p.kernel_size[0],
            "stride": p.stride[0] if p.stride else 1,
            "pad": p.pad[0] if p.pad else 0,
            "group": p.group,
            "bias": p.bias_term,
        }
    elif layer.type == "InnerProduct":
        facts["width"] = layer.inner_product_param.num_output
    elif layer.type == "Pooling":
        p = layer.pooling_param
        if p.pad or (p.pool, p.global_pooling) not in ((p.MAX, False), (p.AVE, True)):
            raise DecError(
                f"{net}: {layer.name}: only MAX without pad and global AVE are compared"
            )
        facts |= {
            "kernel": p.kernel_size,
            "stride": p.stride,
            "mean": p.global_pooling,
        }
    elif layer.type == "LRN":
        p = layer.lrn_param
        facts |= {"size": p.local_size, "alpha": p.alpha, "beta": p.beta, "k": p.k}
    elif layer.type == "Dropout":
        facts["ratio"] = layer.dropout_param.dropout_ratio
    elif layer.type == "BatchNorm":
        p = layer.batch_norm_param
        facts |= {"eps": p.eps, "fraction": p.moving_average_fraction}
    elif layer.type == "EuclideanLoss":
        facts["weight"] = layer.loss_weight[0]
    elif layer.type == "MultiTLoss":
        p = layer.multi_t_loss_param
        facts |= {"clusters": p.num_center, "alpha": p.alpha}
    elif layer.type not in ("ReLU", "Scale", "Softmax", "SoftmaxWithLoss"):
        raise DecError(f"{net}: {layer.name}: PyTorch's side has no {layer.type}")
    return facts
