"""What an experiment's prototxts say, as plain data for a loop that has no Caffe.

Only what DEC's networks use is known; anything else is an error, so that the
PyTorch loop never trains something else than Caffe does.
"""

from pathlib import Path

from caffe.proto import caffe_pb2

from dec.base.errors import DecError
from dec.clustering import phase1
from dec.engine.experiment import Experiment, row_width
from dec.nets.prototxt import data_layers, fit

_FILLERS = ("gaussian", "uniform", "constant")
_POLICIES = ("fixed", "step", "multistep")
_NO_WORK = ("Data", "Input", "Silence")


def read_plan(experiment: Experiment, schedule: str) -> dict:
    """Phase 1's stages in order and phase 2: each a solver, layers and its rows.

    Raises DecError where a prototxt asks for what the PyTorch loop cannot do.
    """
    stages = [
        {"name": name, **_stage(experiment, solver_file)}
        for name, solver_file in phase1.stages(experiment, schedule)
    ]
    dec = _stage(experiment, experiment.folder / "dec_solver.prototxt")
    return {"stages": stages, "dec": dec}


def sources(plan: dict) -> list[str]:
    """The LevelDBs that a plan reads, the one that phase 2 clusters last."""
    phase1 = [stage["rows"]["source"] for stage in plan["stages"]]
    last = plan["dec"]["rows"]["source"]
    return [*dict.fromkeys(s for s in phase1 if s != last), last]


def _stage(experiment: Experiment, solver_file: Path) -> dict:
    solver = experiment.read_solver(solver_file)
    net = experiment.read_net(solver.net)
    if net.layers:
        raise DecError(f"{solver.net}: a V1 network; only the current spelling is read")
    fit(net, row_width(net, solver.net), None)
    train = [layer for layer in net.layer if _in_training(layer)]
    return {
        "solver": _solver(solver, solver_file),
        "rows": _rows(data_layers(net, "TRAIN"), solver.net),
        "embedding_batch": _rows(data_layers(net, "TEST"), solver.net)["batch"],
        "layers": [_layer(x, solver.net) for x in train if x.type not in _NO_WORK],
    }


def _in_training(layer: caffe_pb2.LayerParameter) -> bool:
    # The data layers, the only ones with other conditions, are read elsewhere.
    return not layer.include or any(
        not rule.HasField("phase") or rule.phase == caffe_pb2.TRAIN
        for rule in layer.include
    )


def _solver(solver: caffe_pb2.SolverParameter, file: Path) -> dict:
    if solver.type not in ("SGD", "Adam"):
        raise DecError(f'{file}: type "{solver.type}": only SGD and Adam are compared')
    if solver.lr_policy not in _POLICIES:
        raise DecError(
            f'{file}: lr_policy "{solver.lr_policy}" is not one of the known'
        )
    if solver.weight_decay or solver.clip_gradients > 0 or solver.iter_size != 1:
        raise DecError(
            f"{file}: weight_decay, clip_gradients and iter_size are not compared"
        )
    return {
        "type": solver.type,
        "base_lr": solver.base_lr,
        "lr_policy": solver.lr_policy,
        "gamma": solver.gamma,
        "stepsize": solver.stepsize,
        "stepvalue": list(solver.stepvalue),
        "momentum": solver.momentum,
        "momentum2": solver.momentum2,
        "delta": solver.delta,
        "momentum_burnin": solver.momentum_burnin,
        "iterations": solver.max_iter,
    }


def _rows(layers: list[caffe_pb2.LayerParameter], net: str) -> dict:
    for layer in layers:
        if layer.top[0] == "data":
            data = layer.data_param
            first = int(data.seek or 0)
            return {"source": data.source, "batch": data.batch_size, "first": first}
    raise DecError(f'{net}: it has no Data layer "data"')


def _layer(layer: caffe_pb2.LayerParameter, net: str) -> dict:
    facts = {
        "name": layer.name,
        "type": layer.type,
        "bottom": list(layer.bottom),
        "top": layer.top[0],
    }
    if layer.type == "InnerProduct":
        ip = layer.inner_product_param
        if not ip.bias_term or ip.transpose or len(layer.param) != 2:
            raise DecError(f"{net}: {layer.name}: needs weights, biases, two lr_mult")
        filler = ip.weight_filler
        if filler.type not in _FILLERS:
            raise DecError(f'{net}: filler "{filler.type}" is not known')
        facts |= {
            "width": ip.num_output,
            "filler": {k: getattr(filler, k) for k in ("type", "std", "min", "max")},
            "rates": [param.lr_mult for param in layer.param],
        }
    elif layer.type == "Dropout":
        facts["ratio"] = layer.dropout_param.dropout_ratio
    elif layer.type == "EuclideanLoss":
        facts["weight"] = layer.loss_weight[0] if layer.loss_weight else 1.0
    elif layer.type == "MultiTLoss":
        facts["clusters"] = layer.multi_t_loss_param.num_center
        facts["alpha"] = layer.multi_t_loss_param.alpha
        facts["rates"] = [layer.param[0].lr_mult if layer.param else 1.0]
    elif layer.type != "ReLU":
        raise DecError(f"{net}: {layer.name}: {layer.type} is not in the PyTorch loop")
    return facts
