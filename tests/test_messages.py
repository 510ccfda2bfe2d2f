"""What refusals say: the name that was called, shapes as tuples, dtypes bare, the allowed range.

Leans on schuss and pytest; which class is raised where is in test_errors.py.
"""

from __future__ import annotations

import copy
import operator

import pytest
import schuss
import schuss.nn.functional as F
from schuss import nn

X = schuss.arange(4.0).reshape(2, 2)
V = schuss.arange(4.0)
WHOLE = schuss.tensor([1, 2])
TRUTHS = X > 0
NONE = schuss.zeros(0)
ONE = schuss.ones(3)
FAR = schuss.tensor([0, 5])


def at(list_, key):
    return list_[key]


def put(list_, key, value):
    list_[key] = value


def leaf():
    return schuss.ones(3, requires_grad=True)


# Each line: what is done, the class raised, the message from its beginning.
CASES = [
    # The name that was called, not the one of a part that it is made of.
    (lambda: X.clamp(ONE), RuntimeError, "clamp: the shapes (2, 2) and (3,) do not broadcast"),
    (lambda: X.clamp("a"), TypeError, "clamp: min must be"),
    (lambda: NONE.max(), RuntimeError, "max: the shape (0,) has no element along the axes (0,)"),
    (lambda: NONE.min(), RuntimeError, "min: the shape (0,) has no"),
    (lambda: NONE.amax(), RuntimeError, "amax: the shape (0,) has no"),
    (lambda: NONE.amin(), RuntimeError, "amin: the shape (0,) has no"),
    (lambda: NONE.aminmax(), RuntimeError, "aminmax: the shape (0,) has no"),
    (lambda: X.max(7), IndexError, "max: axis 7 is out of range"),
    (lambda: X.min(dim="a"), TypeError, "min: dim must be an integer, got str"),
    (lambda: X.argmax(7), IndexError, "argmax: axis 7 is out of range"),
    (lambda: X.argmin(7), IndexError, "argmin: axis 7 is out of range"),
    (lambda: X.any(7), IndexError, "any: axis 7 is out of range"),
    (lambda: X.all(7), IndexError, "all: axis 7 is out of range"),
    (lambda: X.prod(7), IndexError, "prod: axis 7 is out of range"),
    (lambda: X.cumprod(7), IndexError, "cumprod: axis 7 is out of range"),
    (lambda: X.log_softmax(7), IndexError, "log_softmax: axis 7 is out of range"),
    (lambda: X.norm(dim=7), IndexError, "norm: axis 7 is out of range"),
    (lambda: WHOLE.std(), TypeError, "std: needs a float tensor, got int64"),
    (lambda: WHOLE.var(), TypeError, "var: needs a float tensor, got int64"),
    (
        lambda: schuss.ones(3).mean(dtype=schuss.int64),
        TypeError,
        "mean: is a float, but dtype=int64",
    ),
    (lambda: schuss.exp(0.5), TypeError, "exp: input must be a Tensor, got float"),
    (lambda: schuss.std_mean(WHOLE), TypeError, "std_mean: needs a float tensor"),
    (lambda: schuss.var_mean(X, 7), IndexError, "var_mean: axis 7 is out of range"),
    (lambda: X.sort(9), IndexError, "sort: axis 9 is out of range"),
    (lambda: X.tile("a"), TypeError, "tile: "),
    (lambda: X.expand_as(ONE), RuntimeError, "expand_as: the shape (2, 2) cannot be"),
    (lambda: X.view_as(ONE), RuntimeError, "view_as: the shape (3,) does not hold the 4"),
    (lambda: V.broadcast_to((3,)), RuntimeError, "broadcast_to: the shape (4,)"),
    (lambda: schuss.broadcast_tensors(X, ONE), RuntimeError, "broadcast_tensors: (2, 2) and (3,)"),
    (lambda: X.take(schuss.tensor([9])), IndexError, "take: index 9 is out of range"),
    (lambda: X.new_zeros("a"), TypeError, "new_zeros: size must be"),
    (lambda: X.new_full((2,), "a"), TypeError, "new_full: fill_value must be a number, got str"),
    (lambda: F.cross_entropy(X, FAR), IndexError, "cross_entropy: target 5 is out of range"),
    (lambda: nn.CrossEntropyLoss()(X, FAR), IndexError, "cross_entropy: target 5"),
    (lambda: F.cross_entropy(X, V), ValueError, "cross_entropy: input (2, 2) and target (4,)"),
    (lambda: F.cross_entropy(X, WHOLE, reduction="a"), IndexError, "cross_entropy: target 2"),
    (lambda: F.cross_entropy(WHOLE, WHOLE), TypeError, "cross_entropy: needs a float tensor"),
    (lambda: F.nll_loss(X, FAR), IndexError, "nll_loss: target 5 is out of range"),
    (lambda: nn.LayerNorm(2)(WHOLE), TypeError, "layer_norm: needs a float tensor, got int64"),
    # Positions: what was asked for, and what there is.
    (lambda: at(X, 10), IndexError, "index: index 10 is out of range for axis 0 of size 2 in a"),
    (lambda: at(X, 10), IndexError, "(allowed: -2 to 1)"),
    (lambda: at(X, (0, -3)), IndexError, "(allowed: -2 to 1)"),
    (lambda: X.select(0, 10), IndexError, "select: index 10 is out of range for axis 0"),
    (lambda: X.select(0, 10), IndexError, "(allowed: -2 to 1)"),
    (lambda: at(NONE, 0), IndexError, "(the axis is empty)"),
    (lambda: at(schuss.zeros(2, 0), (0, 0)), IndexError, "(the axis is empty)"),
    (lambda: X.narrow(0, 5, 1), IndexError, "narrow: start 5 is out of range for axis 0 of size 2"),
    (lambda: X.narrow(0, 5, 1), IndexError, "(allowed: -2 to 2)"),
    (lambda: X.index_select(0, FAR), IndexError, "index 5 is out of range for axis 0 of size 2"),
    (lambda: nn.Embedding(3, 2)(FAR), IndexError, "embedding: index 5 is out of range for a table"),
    (lambda: nn.Embedding(3, 2)(FAR), IndexError, "(allowed: 0 to 2)"),
    # Shapes and lists of axes as tuples.
    (lambda: V.view(3), RuntimeError, "view: the shape (3,) does not hold the 4 elements of (4,)"),
    (lambda: V.reshape(-1, 3), RuntimeError, "reshape: the shape (-1, 3) does not hold"),
    (lambda: V.view(-1, -1), RuntimeError, "view: only one size can be -1, got (-1, -1)"),
    (lambda: NONE.view(0, -1), RuntimeError, "view: the -1 in (0, -1) cannot be worked out"),
    (lambda: V.expand(-1, -1), RuntimeError, "is not allowed in (-1, -1)"),
    (lambda: X.t().view(4), RuntimeError, "with strides (1, 2) cannot be seen as (4,)"),
    (lambda: X.permute(0), RuntimeError, "permute: the order (0,) names 1 axes"),
    (lambda: X.permute(0, 0), RuntimeError, "more than once in the order (0, 0)"),
    (lambda: X.sum((0, 0)), RuntimeError, "in the list of axes (0, 0)"),
    (lambda: X.flip((0, 0)), RuntimeError, "flip: an axis appears more than once in (0, 0)"),
    (lambda: X.split([1, 2]), RuntimeError, "split: the sizes (1, 2) must be at least 0"),
    (lambda: schuss.zeros(2, -3), RuntimeError, "zeros: a size must be at least 0, got -3 in (2,"),
    (lambda: V.expand(3, 4).add_(1), RuntimeError, "(shape (3, 4), strides (0, 1))"),
    # dtypes without the library's name in front.
    (
        lambda: schuss.bernoulli(WHOLE),
        RuntimeError,
        "bernoulli: needs float probabilities, got int",
    ),
    (
        lambda: X.masked_select(WHOLE),
        RuntimeError,
        "masked_select: the mask must be a bool tensor,",
    ),
    (lambda: X.int().clamp_(0.5), RuntimeError, "clamp_: a result of type float32 cannot"),
    (
        lambda: schuss.where(WHOLE, X, X),
        RuntimeError,
        "where: condition must be a bool tensor, got i",
    ),
    (lambda: schuss.iinfo(schuss.float32), TypeError, "iinfo: needs an integer dtype, got float32"),
    (lambda: schuss.finfo(schuss.int8), TypeError, "finfo: needs a float dtype, got int8"),
    # What is wrong with which argument.
    (lambda: schuss.full((2, 2), "a"), TypeError, "full: fill_value must be a number, got str"),
    (
        lambda: schuss.full((2, 2), X),
        RuntimeError,
        "full: fill_value must be one number, got a ten",
    ),
    (lambda: schuss.ones(2, requires_grad=3), TypeError, "requires_grad: must be True or False, "),
    (lambda: schuss.tensor(1.0, requires_grad="a"), TypeError, "requires_grad: must be True or F"),
    (lambda: schuss.randn(2, requires_grad=3), TypeError, "requires_grad: must be True or False"),
    (lambda: setattr(NONE, "requires_grad", 5), TypeError, "requires_grad: must be True or False"),
    (lambda: NONE.requires_grad_(5), TypeError, "requires_grad: must be True or False, got 5"),
    (lambda: schuss.stack(X, X), TypeError, "stack: expected a list or tuple of Tensors, got Te"),
    (
        lambda: schuss.linalg.solve(X, ONE),
        RuntimeError,
        "solve: A is (2, 2) and B (3,): a matrix of 2 rows and a right side of 3 do not fit",
    ),
    (lambda: schuss.linalg.solve(X, X.double()), TypeError, "solve: A is float32 and B float64; "),
    (
        lambda: schuss.linalg.inv(X.long()),
        TypeError,
        "inv: needs float32 or float64, got int64; use x.float() first",
    ),
    (lambda: schuss.set_num_threads(1.5), TypeError, "set_num_threads: the number of threads must"),
    (lambda: schuss.set_num_threads(10**9), ValueError, "needs a number from 1 to 4096, got 1000"),
    (lambda: schuss.zeros(3, device="meta"), schuss.DeviceError, '"meta" is for tensors without'),
    (
        lambda: F.multi_margin_loss(X, schuss.tensor([0, 2])),
        IndexError,
        "multi_margin_loss: target 2 is out of range: classes are numbered 0 to 1 here",
    ),
    (
        lambda: nn.Linear(1, 1).to(dtipe=3),
        TypeError,
        "to() has no argument dtipe (did you mean dtype?",
    ),
    (lambda: nn.Linear(1, 1).to(schuss.int64), TypeError, "floating or complex dtype, got int64"),
    (lambda: nn.Linear(3.0, 2), TypeError, "Linear: in_features must be an integer, got float"),
    (lambda: nn.Linear(3, None), TypeError, "Linear: out_features must be an integer, got None"),
    (lambda: nn.Linear(-1, 2), ValueError, "Linear: in_features must be at least 0, got -1"),
    (lambda: nn.Bilinear(2.0, 3, 4), TypeError, "Bilinear: in1_features must be an integer"),
    (lambda: nn.Embedding(2.0, 3), TypeError, "Embedding: num_embeddings must be an integer"),
    (lambda: nn.BatchNorm1d("a"), TypeError, "BatchNorm1d: num_features must be an integer"),
    (lambda: nn.LayerNorm(2.5), TypeError, "LayerNorm: normalized_shape must be an integer"),
    (lambda: nn.Flatten("a"), TypeError, "Flatten: start_dim must be an integer, got str"),
    (lambda: nn.Dropout("a"), TypeError, "Dropout: p must be a number, got str"),
    (lambda: nn.Dropout(2), ValueError, "Dropout: p must be a probability from 0 to 1, got 2"),
    (lambda: nn.Sequential(nn.Linear), TypeError, "the class Linear itself; make one of it: Linea"),
    (
        lambda: nn.Sequential(3),
        TypeError,
        "Sequential.0: a module must be a Model or None, got int",
    ),
    (lambda: schuss.Tensor([1.0], [2.0]), TypeError, "Tensor: takes sizes or one sequence of data"),
    (lambda: schuss.Tensor(X, 1), TypeError, "Tensor: takes sizes or one sequence of data, got 2"),
    (lambda: X.topk("a"), TypeError, "topk: k must be an integer, got str"),
    # Writes in place are called what the user wrote.
    (
        lambda: put(ONE.clone(), slice(2), ONE),
        RuntimeError,
        "item assignment: the shape (3,) cannot",
    ),
    (lambda: put(leaf(), 0, 1), RuntimeError, "item assignment: a view of a leaf tensor that"),
    (lambda: put(leaf(), leaf() > 0, 1), RuntimeError, "item assignment: a leaf tensor of shape"),
    (
        lambda: put(leaf(), [0], ONE[:1]),
        RuntimeError,
        "item assignment: a leaf tensor of shape (3,)",
    ),
    (lambda: put(ONE.clone(), [0], ONE), RuntimeError, "item assignment: the shape (3,) cannot"),
    (lambda: leaf().zero_(), RuntimeError, "zero_: a leaf tensor of shape (3,) that requires grad"),
    (
        lambda: leaf().fill_(2),
        RuntimeError,
        "fill_: a leaf tensor of shape (3,) that requires grad",
    ),
    (lambda: operator.iadd(leaf(), 1), RuntimeError, "add_: a leaf tensor of shape (3,) that"),
    (lambda: operator.imul(ONE.clone(), V), RuntimeError, "mul_: the shapes (3,) and (4,) do not"),
    (lambda: operator.iadd(ONE.clone(), "a"), TypeError, "add_: other must be a Tensor or a num"),
    (lambda: WHOLE.clone().floor_divide_(0), RuntimeError, "floor_divide_: ZeroDivisionError"),
    # A misspelt keyword: the nearest one, and the form.
    (
        lambda: schuss.ones(2, dtpye=schuss.float64),
        TypeError,
        "ones() has no argument dtpye (did you mean dtype?); its form is ones(*size, dtype=None,",
    ),
    (lambda: schuss.tensor([1.0], grad=1), TypeError, "tensor() has no argument grad; its form is"),
    (lambda: schuss.zeros(2, require_grad=1), TypeError, "(did you mean requires_grad?)"),
    (lambda: schuss.full((2,), 1, devise="cpu"), TypeError, "(did you mean device?)"),
    (lambda: schuss.linspace(0, 1, stps=3, steps=3), TypeError, "linspace() has no argument stps"),
    (lambda: schuss.rand(2, generater=None), TypeError, "(did you mean generator?)"),
    (lambda: X.sum(keepdm=True), TypeError, "sum() has no argument keepdm (did you mean keepdim?)"),
    (lambda: X.softmax(dmi=1), TypeError, "(did you mean dim?)"),
    (
        lambda: schuss.exp(X, inplace=1),
        TypeError,
        "exp() has no argument inplace; its form is exp(",
    ),
    # Lists: which element, and of what.
    (lambda: schuss.tensor([1, [2]]), ValueError, "tensor: the lists are uneven: a sequence of"),
    (lambda: schuss.tensor([[1], 2]), ValueError, "tensor: the lists are uneven: a number stands"),
    (lambda: schuss.cat([X, X, V]), RuntimeError, "cat: element 2 of shape (4,) does not fit the"),
    (lambda: schuss.cat([V, X.sum()]), RuntimeError, "cat: element 1 is a 0-d tensor, which"),
    (lambda: schuss.stack([V, ONE]), RuntimeError, "stack: element 1 of shape (3,) does not fit"),
    (lambda: schuss.hstack([]), RuntimeError, "hstack: needs at least one tensor, got an empty"),
    # The runner.
    (
        lambda: schuss.GradientDescent(nn.Linear, nn.MSELoss()),
        TypeError,
        "GradientDescent: the model is the class Linear; make one of it: Linear(...)",
    ),
    (
        lambda: schuss.GradientDescent(nn.Linear(1, 1), nn.MSELoss),
        TypeError,
        "GradientDescent: the loss is the class MSELoss; make one of it: MSELoss()",
    ),
    (
        lambda: schuss.GradientDescent(nn.Linear(2, 2), lambda p, y: p - y).run(X, X, n_steps=1),
        ValueError,
        "GradientDescent: the loss must be one number, got shape (2, 2)",
    ),
    # What PyTorch takes no number for, and no tensor of several.
    (lambda: schuss.maximum(X, 1.0), TypeError, "maximum: other must be a Tensor, got float"),
    (lambda: schuss.eq(1, X), TypeError, "eq: input must be a Tensor, got int"),
    (lambda: schuss.clamp_min(1, 2), TypeError, "clamp_min: input must be a Tensor, got int"),
    (lambda: X.masked_fill(TRUTHS, ONE), RuntimeError, "masked_fill: value must be a number or a"),
    (lambda: schuss.linspace(ONE, ONE, 2), RuntimeError, "linspace: start must be a number or a"),
    (lambda: 1 - TRUTHS, RuntimeError, "sub: is not defined for bool; use x.int() first"),
    (lambda: schuss.ones(2) - True, RuntimeError, "sub: is not defined for bool"),
    (lambda: schuss.ones(2).sub_(True), RuntimeError, "sub_: is not defined for bool"),
    (lambda: X.floor_divide(1j), RuntimeError, "floor_divide: is not implemented for a complex"),
    (lambda: schuss.amax(X, 0, out=V[:2].double()), RuntimeError, "amax: a result of type float32"),
    (lambda: X.gather(0, FAR.reshape(1, 2)), RuntimeError, "gather: index 5 is out of range"),
    (lambda: X.roll((1, 2), 0), RuntimeError, "roll: 2 shifts for 1 axes"),
    (lambda: ONE.clone().fill_(ONE), RuntimeError, "fill_: value must be a number or a 0-d tensor"),
    (lambda: X * [1, 2], TypeError, "mul: other must be a Tensor or a number, got list"),
    (lambda: operator.add((1, 2), X), TypeError, "add: other must be a Tensor or a nu"),
    (lambda: X.to("flaot32"), RuntimeError, "to: 'flaot32' is no device; a dtype is given"),
    (
        lambda: nn.CrossEntropyLoss(X, WHOLE),
        TypeError,
        "CrossEntropyLoss: is made first and called then: weight is a setting of it, got a tensor",
    ),
    (
        lambda: F.conv2d(schuss.ones(1, 3, 8, 8), schuss.ones(4, 1, 3, 3)),
        RuntimeError,
        "conv2d: the input (1, 3, 8, 8) has 3 channels, the weight (4, 1, 3, 3) takes 1 in 1 group",
    ),
    # Names of other libraries.
    (lambda: schuss.Scalar(1).grad, AttributeError, "Scalar has no attribute 'grad'; its derivat"),
    (lambda: schuss.Scalar(1).data, AttributeError, "Scalar has no attribute 'data'; its number"),
]


@pytest.mark.parametrize(("act", "kind", "part"), CASES, ids=[part for _, _, part in CASES])
def test_message(act, kind, part):
    with pytest.raises(kind) as caught:
        act()
    text = str(caught.value)
    assert text.startswith(part) or (not part[0].isalpha() and part in text) or f" {part}" in text
    assert "schuss.int" not in text and "schuss.float3" not in text.replace("dtype=schuss", "")


# Each line: what is made, how its refusal begins.
MADE = [
    (lambda: nn.Conv2d(3, 6), "Conv2d: is missing kernel_size; its form is Conv2d(in_channels, "),
    (lambda: nn.Linear(3, 1, biass=False), "Linear() has no argument biass (did you mean bias?)"),
    (lambda: nn.Linear(3, 1, True, None, None, 4), "Linear: takes 5 arguments by position, got 6"),
    (lambda: nn.Transformer(d_mode=3), "Transformer() has no argument d_mode (did you mean d_mod"),
    (lambda: nn.MSELoss(reducton="sum"), "MSELoss() has no argument reducton (did you mean redu"),
    (
        lambda: schuss.optim.Adam([leaf()], learning_rate=1.0),
        "Adam() has no argument learning_rate (did you mean lr?); its form is Adam(params, lr=",
    ),
    (
        lambda: schuss.optim.lr_scheduler.StepLR(schuss.optim.SGD([leaf()])),
        "StepLR: is missing step_size; its form is StepLR(optimizer, step_size, gamma=0.1",
    ),
    (
        lambda: schuss.utils.data.DataLoader(V, batchsize=3),
        "DataLoader() has no argument batchsize (did you mean batch_size?)",
    ),
    (lambda: schuss.distributions.Normal(0.0, std=1.0), "Normal() has no argument std (did you m"),
    (
        lambda: schuss.tf.keras.layers.Dense(3, activaton="relu"),
        "Dense() has no argument activaton (did you mean activation?)",
    ),
    (
        lambda: schuss.tf.optimizers.Adam(lr=3),
        "Adam() has no argument lr (did you mean learning_rate?)",
    ),
]


@pytest.mark.parametrize(("make", "part"), MADE, ids=[part for _, part in MADE])
def test_making(make, part):
    with pytest.raises(TypeError) as caught:
        make()
    assert str(caught.value).startswith(part) and " at 0x" not in str(caught.value)


def test_making_is_checked_for_classes_of_ours_alone():
    class Mine(nn.Linear):
        def __init__(self, width, **rest):
            super().__init__(width, width, **rest)

    assert Mine(2, bias=False).bias is None and copy.deepcopy(Mine(2)).in_features == 2
    with pytest.raises(TypeError, match=r"Mine.__init__\(\) missing 1 required positional"):
        Mine()

    class Rows(schuss.utils.data.Dataset, list):
        pass

    assert len(Rows([1, 2])) == 2


def broadcast():
    nn.MSELoss()(schuss.ones(3, 1), ONE)


def out_of_order():
    optimizer = schuss.optim.SGD([leaf()])
    schuss.optim.lr_scheduler.StepLR(optimizer, 3).step()


def without_axis():
    nn.Softmax()(X)


def fallen_back():
    step = schuss.compile(lambda x: x if x.sum() > 0 else -x, fallback=True)
    [step(ONE) for _ in range(3)]


@pytest.mark.parametrize("act", [broadcast, out_of_order, without_axis, fallen_back])
def test_a_warning_points_to_the_line_of_the_program(act):
    with pytest.warns(UserWarning) as seen:
        act()
    place = act.__code__
    assert [w.filename for w in seen] == [__file__]
    assert place.co_firstlineno < seen[0].lineno <= place.co_firstlineno + 3


def test_numbers_of_several_elements():
    for kind in (float, int):
        with pytest.raises(ValueError, match=f"{kind.__name__}: .* or use .tolist\\(\\) for all$"):
            kind(X)


def test_advice_on_casts_loses_nothing():
    whole, real = schuss.tf.constant([1, 2]), schuss.tf.constant([1.0, 2.0])
    for pair in ((whole, real), (real, whole)):
        with pytest.raises(schuss.DTypeError, match=r"use tf.cast\(x, tf.float32\) on the other"):
            operator.add(*pair)
    with pytest.raises(TypeError, match=r"use tf.cast\(x, tf.float32\) on the tensor"):
        operator.mul(whole, 2.5)


def test_a_renamed_error_keeps_its_class_and_its_place():
    with pytest.raises(schuss.DTypeError) as caught:
        WHOLE.std()
    assert caught.value.__context__ is None and caught.value.__cause__ is None


@pytest.mark.parametrize("name", ["bool", "uint8", "int64", "bfloat16", "float32"])
def test_a_dtype_has_a_bare_name(name):
    assert getattr(schuss, name).name == name
    assert repr(getattr(schuss, name)) == f"schuss.{name}"


def test_limits_are_shown_as_pytorch_shows_them():
    """The texts are PyTorch's, printed by it."""
    assert repr(schuss.finfo(schuss.float32)) == (
        "finfo(resolution=1e-06, min=-3.40282e+38, max=3.40282e+38, eps=1.19209e-07,"
        " smallest_normal=1.17549e-38, tiny=1.17549e-38, dtype=float32)"
    )
    assert repr(schuss.finfo(schuss.float16)) == (
        "finfo(resolution=0.001, min=-65504, max=65504, eps=0.000976562,"
        " smallest_normal=6.10352e-05, tiny=6.10352e-05, dtype=float16)"
    )
    assert repr(schuss.iinfo(schuss.int8)) == "iinfo(min=-128, max=127, dtype=int8)"


def test_the_old_names_of_tensors_know_their_own():
    assert isinstance(X, schuss.FloatTensor) and not isinstance(X, schuss.LongTensor)
    assert isinstance(WHOLE, schuss.LongTensor) and not isinstance([1], schuss.LongTensor)
    assert schuss.HalfTensor([1, 2]).dtype == schuss.float16
    assert X.type(schuss.DoubleTensor).dtype == schuss.float64
    assert X.type() == "schuss.FloatTensor" and schuss.CharTensor(2, 3).shape == (2, 3)


def test_a_scalar_keeps_users_attributes():
    x = schuss.Scalar(2)
    x.grad = 5
    assert x.grad == 5 and not hasattr(schuss.Scalar(2), "data")
