import pytest

from dec.base.errors import DecError
from dec.nets import prototxt


def test_unknown_field_is_named_with_file_and_line(tmp_path):
    file = tmp_path / "solver.prototxt"
    file.write_text('net: "x"\nbase_rl: 0.1\n')
    with pytest.raises(DecError, match=r"solver.prototxt:2: .*base_rl"):
        prototxt.read_solver(file)


def test_wrong_type_is_named_with_file_and_line(tmp_path):
    file = tmp_path / "net.prototxt"
    file.write_text('layer {\n  name: "a"\n  multi_t_loss_param { alpha: "x" }\n}\n')
    with pytest.raises(DecError, match=r"net.prototxt:3: "):
        prototxt.read_net(file)


def test_missing_file(tmp_path):
    with pytest.raises(DecError, match="no such file"):
        prototxt.read_net(tmp_path / "none.prototxt")


def test_data_layers_in_both_spellings(tmp_path):
    file = tmp_path / "net.prototxt"
    file.write_text(
        'layers { name: "a" type: DATA include: { phase: TRAIN } }\n'
        'layers { name: "b" type: DATA include: { phase: TEST } }\n'
        'layers { name: "c" type: RELU }\n'
    )
    net = prototxt.read_net(file)
    assert [layer.name for layer in prototxt.data_layers(net, "TEST")] == ["b"]
    file.write_text('layer { name: "a" type: "Data" }')
    net = prototxt.read_net(file)
    assert [layer.name for layer in prototxt.data_layers(net, "TRAIN")] == ["a"]


def test_written_file_reads_back_the_same(tmp_path):
    net = prototxt.read_net("prototxt/dec/mnist/dec.prototxt")
    prototxt.write(tmp_path / "copy.prototxt", net, "a copy")
    assert prototxt.read_net(tmp_path / "copy.prototxt") == net
