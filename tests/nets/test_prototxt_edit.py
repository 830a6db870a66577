"""Values are changed where they stand; comments and all else stay."""

import pytest
from caffe.proto import caffe_pb2
from conftest import ROOT
from google.protobuf import text_format

from dec.nets.prototxt_edit import edited, in_comments

TEXT = """# A net: # of layers 2
name: "a # no comment"  # one
layer { name: "x" type: 'Input' input_param { shape { dim: 1 dim: 784 } } }
layer <
  name: "y"; param { lr_mult: 1 }, param { lr_mult: 2 }  # 784 of them
  loss_weight: [1.5, 2]
  inner_product_param: { num_output: 784 bias_term: true }
>
"""


def net(text):
    return text_format.Parse(text, caffe_pb2.NetParameter())


def test_values_change_and_nothing_else():
    after = net(TEXT)
    after.name = 'b"'
    after.layer[0].input_param.shape[0].dim[1] = 12
    after.layer[1].param[1].lr_mult = 0.5
    after.layer[1].loss_weight[1] = 1 / 3
    after.layer[1].inner_product_param.bias_term = False
    text = edited(TEXT, net(TEXT), after)
    assert net(text) == after
    wanted = TEXT.replace('"a # no comment"', '"b\\""').replace("dim: 784", "dim: 12")
    wanted = wanted.replace("lr_mult: 2", "lr_mult: 0.5").replace("true", "false")
    assert text == wanted.replace("1.5, 2]", "1.5, 0.33333334]")


def test_nothing_to_change():
    assert edited(TEXT, net(TEXT), net(TEXT)) == TEXT


def test_fields_that_are_not_there_cannot_be_changed():
    after = net(TEXT)
    after.layer[1].inner_product_param.axis = 2
    with pytest.raises(ValueError, match="other fields"):
        edited(TEXT, net(TEXT), after)
    after = net(TEXT)
    del after.layer[1]
    with pytest.raises(ValueError, match="other numbers of layer"):
        edited(TEXT, net(TEXT), after)


def test_comments_alone():
    text = in_comments(TEXT, r"\b784\b", "12")
    assert "# 12 of them" in text and "dim: 784" in text
    assert in_comments(TEXT, "no comment", "") == TEXT


@pytest.mark.parametrize(
    "path", sorted((ROOT / "prototxt").rglob("*.prototxt")), ids=lambda path: path.stem
)
def test_every_number_of_every_file_is_found(path):
    """Each scalar of our own prototxts can be changed alone."""
    text = path.read_text()
    kind = "solver" in path.name
    make = caffe_pb2.SolverParameter if kind else caffe_pb2.NetParameter
    before = text_format.Parse(text, make())
    after = make()
    after.CopyFrom(before)
    changed = _change(after)
    assert changed
    assert text_format.Parse(edited(text, before, after), make()) == after


def _change(message) -> int:
    """Changes every integer and text in a message; returns how many."""
    count = 0
    for field, value in message.ListFields():
        many = field.label == field.LABEL_REPEATED
        for i, one in enumerate(value if many else [value]):
            if field.message_type:
                count += _change(one)
            elif field.type in (field.TYPE_INT32, field.TYPE_UINT32, field.TYPE_STRING):
                new = one + (1 if isinstance(one, int) else "x")
                if many:
                    value[i] = new
                else:
                    setattr(message, field.name, new)
                count += 1
    return count
