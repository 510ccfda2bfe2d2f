"""A table of layers and losses, each with inputs, in every setting that changes what they do.
Leans on NumPy; module_facts says what a library makes of them."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """How a module is made from `nn`, what it is given, and how it is called."""

    make: Any
    inputs: tuple
    call: Any = None
    training: bool = True


class Whole(NamedTuple):
    """Integers from `low` to below `high`; they get no gradient."""

    shape: tuple
    high: int
    low: int = 0


class Given(NamedTuple):
    """These very numbers; floats among them get no gradient."""

    values: Any


class Shares(NamedTuple):
    """Numbers between 0 and 1."""

    shape: tuple


CASES: dict[str, Case] = {}


def case(name: str, make: Any, *inputs: Any, call: Any = None, training: bool = True) -> None:
    assert name not in CASES
    CASES[name] = Case(make, inputs, call, training)


# ---- convolutions --------------------------------------------------------------------------------

IMAGE = {1: (2, 4, 9), 2: (2, 4, 7, 8), 3: (1, 4, 5, 6, 7)}
SETTINGS = {
    "plain": {"kernel_size": 3},
    "stride": {"kernel_size": 3, "stride": 2, "padding": 1},
    "dilation": {"kernel_size": 2, "dilation": 2, "bias": False},
    "groups": {"kernel_size": 3, "groups": 2, "padding": 1},
    "same": {"kernel_size": 4, "padding": "same"},
    "valid": {"kernel_size": 2, "padding": "valid"},
    "reflect": {"kernel_size": 3, "padding": 2, "padding_mode": "reflect"},
    "circular": {"kernel_size": 3, "padding": 1, "padding_mode": "circular", "stride": 2},
    "replicate same": {"kernel_size": 4, "padding": "same", "padding_mode": "replicate"},
}
for d, shape in IMAGE.items():
    for kind, settings in SETTINGS.items():
        case(
            f"conv{d}d {kind}",
            lambda nn, d=d, s=settings: getattr(nn, f"Conv{d}d")(4, 6, **s),
            shape,
        )
    case(f"conv{d}d alone", lambda nn, d=d: getattr(nn, f"Conv{d}d")(4, 2, 2), shape[1:])
    for kind, settings in {
        "plain": {"kernel_size": 3},
        "stride": {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1},
        "groups": {"kernel_size": 2, "groups": 2, "dilation": 2, "bias": False},
    }.items():
        case(
            f"conv transpose{d}d {kind}",
            lambda nn, d=d, s=settings: getattr(nn, f"ConvTranspose{d}d")(4, 6, **s),
            shape,
        )
case("conv2d oblong", lambda nn: nn.Conv2d(4, 2, (3, 2), (2, 1), (1, 0), (1, 2)), IMAGE[2])
case(
    "conv transpose2d size",
    lambda nn: nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1),
    IMAGE[2],
    call=lambda m, x: m(x, output_size=(14, 15)),
)
case("unfold", lambda nn: nn.Unfold((2, 3), padding=1, stride=2), IMAGE[2])
case("fold", lambda nn: nn.Fold((4, 5), (2, 3), padding=1), (2, 12, 25))

# ---- poolings ------------------------------------------------------------------------------------

for d, shape in IMAGE.items():
    for kind, (settings, call) in {
        "MaxPool": ({"kernel_size": 2}, None),
        "MaxPool ceil": ({"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}, None),
        "MaxPool places": (
            {"kernel_size": 2, "dilation": 2, "stride": 1, "return_indices": True},
            None,
        ),
        "AvgPool": ({"kernel_size": 2}, None),
        "AvgPool ceil": (
            {
                "kernel_size": 3,
                "stride": 2,
                "padding": 1,
                "ceil_mode": True,
                "count_include_pad": False,
            },
            None,
        ),
        "AdaptiveMaxPool": ({"output_size": 3}, None),
        "AdaptiveAvgPool": ({"output_size": 3}, None),
    }.items():
        case(
            f"{kind} {d}d",
            lambda nn, k=kind, d=d, s=settings: getattr(nn, f"{k.split()[0]}{d}d")(**s),
            shape,
            call=call,
        )
    case(
        f"LPPool {d}d",
        lambda nn, d=d: getattr(nn, f"LPPool{d}d")(3, 2),
        Shares(shape),
    )

    def unpooled(m: Any, x: Any, d: int = d) -> Any:
        pool = getattr(sys.modules[type(m).__module__.split(".")[0]].nn.functional, f"max_pool{d}d")
        values, places = pool(x, 2, return_indices=True)
        return m(values, places, output_size=x.shape)

    case(f"MaxUnpool {d}d", lambda nn, d=d: getattr(nn, f"MaxUnpool{d}d")(2), shape, call=unpooled)
case("AdaptiveAvgPool2d (1, None)", lambda nn: nn.AdaptiveAvgPool2d((1, None)), IMAGE[2])
case("AvgPool2d divisor", lambda nn: nn.AvgPool2d((2, 3), divisor_override=4), IMAGE[2])
for d in (2, 3):
    case(
        f"FractionalMaxPool {d}d",
        lambda nn, d=d: getattr(nn, f"FractionalMaxPool{d}d")(2, output_ratio=0.6),
        IMAGE[d],
        Given(np.full((IMAGE[d][0], 4, d), 0.3)),
        call=lambda m, x, samples: (vars(m).update(_random_samples=samples + 0), m(x))[1],
    )

# ---- borders -------------------------------------------------------------------------------------

for d, shape in IMAGE.items():
    for kind, further in {
        "ReflectionPad": (),
        "ReplicationPad": (),
        "ZeroPad": (),
        "CircularPad": (),
        "ConstantPad": (1.5,),
    }.items():
        case(
            f"{kind} {d}d",
            lambda nn, k=kind, d=d, f=further: getattr(nn, f"{k}{d}d")((1, 2) * d, *f),
            shape,
        )
        case(
            f"{kind} {d}d one",
            lambda nn, k=kind, d=d, f=further: getattr(nn, f"{k}{d}d")(1, *f),
            shape[1:],
        )
case("ZeroPad2d crop", lambda nn: nn.ZeroPad2d((-1, 2, 1, -2)), IMAGE[2])

# ---- norms ---------------------------------------------------------------------------------------

for d, shape in IMAGE.items():
    for kind, settings in {
        "BatchNorm": {},
        "BatchNorm bare": {"affine": False, "momentum": None, "eps": 0.1},
        "BatchNorm untracked": {"track_running_stats": False},
        "BatchNorm unbiased": {"bias": False},
        "InstanceNorm": {},
        "InstanceNorm tracked": {"affine": True, "track_running_stats": True},
    }.items():
        for training in (True, False):
            case(
                f"{kind} {d}d {'training' if training else 'evaluation'}",
                lambda nn, k=kind, d=d, s=settings: getattr(nn, f"{k.split()[0]}{d}d")(4, **s),
                shape,
                training=training,
            )
case("BatchNorm1d rows", lambda nn: nn.BatchNorm1d(5), (7, 5))
case("InstanceNorm2d alone", lambda nn: nn.InstanceNorm2d(4), IMAGE[2][1:])
case("SyncBatchNorm evaluation", lambda nn: nn.SyncBatchNorm(4), IMAGE[2], training=False)
case("LayerNorm", lambda nn: nn.LayerNorm((7, 8)), IMAGE[2])
case("LayerNorm unbiased", lambda nn: nn.LayerNorm(8, bias=False, eps=0.1), IMAGE[2])
case("LayerNorm bare", lambda nn: nn.LayerNorm([8], elementwise_affine=False), IMAGE[2])
case("RMSNorm", lambda nn: nn.RMSNorm((7, 8)), IMAGE[2])
case("RMSNorm eps", lambda nn: nn.RMSNorm(8, eps=0.1, elementwise_affine=False), IMAGE[2])
case("GroupNorm", lambda nn: nn.GroupNorm(2, 4), IMAGE[2])
case("GroupNorm bare", lambda nn: nn.GroupNorm(4, 4, eps=0.1, affine=False), IMAGE[1])
case("GroupNorm unbiased", lambda nn: nn.GroupNorm(1, 4, bias=False), IMAGE[1])
case("LocalResponseNorm", lambda nn: nn.LocalResponseNorm(3, 0.1, 0.5, 2.0), IMAGE[2])
case("LocalResponseNorm 1d", lambda nn: nn.LocalResponseNorm(2), IMAGE[1])

# ---- recurrence ----------------------------------------------------------------------------------

for kind in ("RNN", "LSTM", "GRU"):
    for what, settings in {
        "one": {},
        "relu": {"nonlinearity": "relu"},
        "deep": {"num_layers": 3, "bias": False},
        "both ways": {"num_layers": 2, "bidirectional": True, "batch_first": True},
        "dropping": {"num_layers": 2, "dropout": 0.5},
        "projected": {"num_layers": 2, "bidirectional": True, "proj_size": 2},
    }.items():
        if (what == "relu" and kind != "RNN") or (what == "projected" and kind != "LSTM"):
            continue
        make = lambda nn, k=kind, s=settings: getattr(nn, k)(3, 4, **s)  # noqa: E731
        case(f"{kind} {what}", make, (5, 2, 3), training=False)
        if what in ("both ways", "deep", "projected"):

            def packed(m: Any, x: Any, first: bool = what == "both ways") -> Any:
                rnn = sys.modules[type(m).__module__.split(".")[0]].nn.utils.rnn
                given = rnn.pack_padded_sequence(
                    x, [2, 5, 3], batch_first=first, enforce_sorted=False
                )
                output, last = m(given)
                return rnn.pad_packed_sequence(output, batch_first=first), last

            shape = (3, 5, 3) if what == "both ways" else (5, 3, 3)
            case(f"{kind} {what}, packed", make, shape, call=packed)
    sizes = (2, 2, 4)
    case(
        f"{kind} states",
        lambda nn, k=kind: getattr(nn, k)(3, 4, num_layers=2),
        (5, 2, 3),
        *[sizes] * (2 if kind == "LSTM" else 1),
        call=lambda m, x, *states: m(x, states if len(states) == 2 else states[0]),
    )
    case(f"{kind} alone", lambda nn, k=kind: getattr(nn, k)(3, 4), (5, 3))
    case(f"{kind}Cell", lambda nn, k=kind: getattr(nn, f"{k}Cell")(3, 4), (2, 3))
    case(
        f"{kind}Cell states",
        lambda nn, k=kind: getattr(nn, f"{k}Cell")(3, 4, bias=False),
        (3,),
        *[(4,)] * (2 if kind == "LSTM" else 1),
        call=lambda m, x, *states: m(x, states if len(states) == 2 else states[0]),
    )
case("RNNCell relu", lambda nn: nn.RNNCell(3, 4, nonlinearity="relu"), (2, 3))

# ---- attention -----------------------------------------------------------------------------------

FORBIDDEN = np.triu(np.ones((4, 5), dtype=bool), 2)
PADDED = np.array([[False] * 5, [False, False, False, True, True], [False, True] + [False] * 3])
QKV = ((4, 3, 8), (5, 3, 8), (5, 3, 8))
for what, (settings, options) in {
    "plain": ({}, {}),
    "every head": ({}, {"average_attn_weights": False}),
    "no weights": ({}, {"need_weights": False}),
    "unbiased": ({"bias": False}, {}),
    "more keys": ({"add_bias_kv": True, "add_zero_attn": True}, {}),
    "masked": ({}, {"attn_mask": FORBIDDEN}),
    "masked by numbers": ({}, {"attn_mask": np.arange(20.0).reshape(4, 5) / 7}),
    "padded": ({}, {"key_padding_mask": PADDED}),
    "padded, more keys": (
        {"add_bias_kv": True},
        {"key_padding_mask": PADDED, "attn_mask": FORBIDDEN},
    ),
}.items():
    case(
        f"MultiheadAttention {what}",
        lambda nn, s=settings: nn.MultiheadAttention(8, 2, **s),
        *QKV,
        *[Given(value) for value in options.values() if isinstance(value, np.ndarray)],
        call=lambda m, q, k, v, *masks, o=options: m(
            q,
            k,
            v,
            **{key: value for key, value in o.items() if not isinstance(value, np.ndarray)},
            **dict(zip((key for key in o if key.endswith("mask")), masks, strict=True)),
        ),
    )
case(
    "MultiheadAttention other sizes",
    lambda nn: nn.MultiheadAttention(8, 4, kdim=6, vdim=5, batch_first=True),
    (3, 4, 8),
    (3, 5, 6),
    (3, 5, 5),
)
case("MultiheadAttention alone", lambda nn: nn.MultiheadAttention(8, 2), (4, 8), (5, 8), (5, 8))
case(
    "MultiheadAttention of itself",
    lambda nn: nn.MultiheadAttention(8, 2, batch_first=True),
    (3, 4, 8),
    call=lambda m, x: m(x, x, x),
)
LAYER = (8, 2, 16, 0.0)
for first in (False, True):
    for activation in ("relu", "gelu"):
        case(
            f"TransformerEncoderLayer {activation}, norm_first={first}",
            lambda nn, a=activation, f=first: nn.TransformerEncoderLayer(
                *LAYER, activation=a, norm_first=f, batch_first=f
            ),
            (3, 5, 8) if first else (5, 3, 8),
        )
    case(
        f"TransformerDecoderLayer norm_first={first}",
        lambda nn, f=first: nn.TransformerDecoderLayer(*LAYER, norm_first=f, bias=not f),
        (4, 3, 8),
        (5, 3, 8),
    )
case(
    "TransformerEncoder",
    lambda nn: nn.TransformerEncoder(nn.TransformerEncoderLayer(*LAYER), 2, nn.LayerNorm(8)),
    (5, 3, 8),
    Given(np.triu(np.ones((5, 5), dtype=bool), 1)),
    Given(PADDED),
    call=lambda m, x, ahead, padded: m(x, mask=ahead, src_key_padding_mask=padded),
)
case(
    "Transformer",
    lambda nn: nn.Transformer(8, 2, 1, 2, 16, 0.0),
    (5, 3, 8),
    (4, 3, 8),
    call=lambda m, x, y: m(x, y, tgt_mask=m.generate_square_subsequent_mask(4).to(y)),
)
case(
    "Transformer batch_first",
    lambda nn: nn.Transformer(8, 2, 1, 1, 16, 0.0, "gelu", batch_first=True, norm_first=True),
    (3, 5, 8),
    (3, 4, 8),
    Given(PADDED),
    call=lambda m, x, y, padded: m(x, y, src_key_padding_mask=padded),
)

# ---- tables --------------------------------------------------------------------------------------

case("Embedding", lambda nn: nn.Embedding(6, 3), Whole((2, 4), 6))
case("Embedding padding", lambda nn: nn.Embedding(6, 3, padding_idx=-2), Whole((2, 9), 6))
case(
    "Embedding by frequency",
    lambda nn: nn.Embedding(6, 3, scale_grad_by_freq=True),
    Whole((2, 9), 6),
)
case("Embedding max_norm", lambda nn: nn.Embedding(6, 3, max_norm=1.0), Whole((2, 4), 6))
for mode in ("sum", "mean", "max"):
    case(f"EmbeddingBag {mode}", lambda nn, m=mode: nn.EmbeddingBag(6, 3, mode=m), Whole((2, 4), 6))
    case(
        f"EmbeddingBag {mode} offsets",
        lambda nn, m=mode: nn.EmbeddingBag(6, 3, mode=m, padding_idx=1),
        Whole((9,), 6),
        Given(np.array([0, 4, 4])),
    )
case(
    "EmbeddingBag weighted",
    lambda nn: nn.EmbeddingBag(6, 3, mode="sum", include_last_offset=True),
    Whole((9,), 6),
    Given(np.array([0, 4, 9])),
    (9,),
)

# ---- linear maps, shapes, distances --------------------------------------------------------------

case("Identity", lambda nn: nn.Identity(54, unused=True), (2, 3))
case("Linear", lambda nn: nn.Linear(5, 3), (2, 4, 5))
case("Bilinear", lambda nn: nn.Bilinear(3, 4, 5), (2, 6, 3), (2, 6, 4))
case("Bilinear unbiased", lambda nn: nn.Bilinear(3, 4, 5, bias=False), (2, 3), (2, 4))
case("Flatten", lambda nn: nn.Flatten(1, 2), (2, 3, 4, 5))
case("Unflatten", lambda nn: nn.Unflatten(1, (2, -1)), (2, 6))
case("CosineSimilarity", lambda nn: nn.CosineSimilarity(dim=2), (2, 3, 4), (2, 3, 4))
case("PairwiseDistance", lambda nn: nn.PairwiseDistance(3.0, keepdim=True), (2, 4), (2, 4))
case("PixelShuffle", lambda nn: nn.PixelShuffle(2), (1, 8, 2, 3))
case("PixelUnshuffle", lambda nn: nn.PixelUnshuffle(2), (1, 2, 4, 6))
case("ChannelShuffle", lambda nn: nn.ChannelShuffle(2), (1, 6, 2, 3))
case("Upsample nearest", lambda nn: nn.Upsample(scale_factor=2), IMAGE[1])
case("Upsample size", lambda nn: nn.Upsample((5, 11), mode="bilinear"), IMAGE[2])
case(
    "Upsample corners",
    lambda nn: nn.Upsample(scale_factor=(1.5, 2.0), mode="bilinear", align_corners=True),
    IMAGE[2],
)
case("Upsample bicubic", lambda nn: nn.Upsample(scale_factor=2, mode="bicubic"), IMAGE[2])
case("Upsample trilinear", lambda nn: nn.Upsample(scale_factor=2, mode="trilinear"), IMAGE[3])
case("UpsamplingNearest2d", lambda nn: nn.UpsamplingNearest2d(scale_factor=3), IMAGE[2])
case("UpsamplingBilinear2d", lambda nn: nn.UpsamplingBilinear2d((9, 10)), IMAGE[2])
for axes, kind in enumerate(("Dropout", "AlphaDropout", "Dropout1d", "Dropout2d", "Dropout3d"), 1):
    case(kind, lambda nn, k=kind: getattr(nn, k)(0.3), (2, 3, 4, 5, 6)[:axes], training=False)
case("FeatureAlphaDropout", lambda nn: nn.FeatureAlphaDropout(), (2, 3), training=False)

# ---- activations ---------------------------------------------------------------------------------

ACTIVATIONS = """
    CELU(0.5) ELU(0.5) GELU() GELU('tanh') GLU(1) Hardshrink()
    Hardsigmoid() Hardswish() Hardtanh(-0.5,0.7) LeakyReLU(0.1) LogSigmoid() LogSoftmax(1)
    Mish() PReLU() PReLU(4) RReLU() ReLU() ReLU(True)
    ReLU6() SELU() SiLU() Sigmoid() Softmax(0) Softmax2d()
    Softmin(-1) Softplus(2.0,0.5) Softshrink(0.3) Softsign() Tanh() Tanhshrink()
    Threshold(0.2,3.0)
    CELU(0.5,True) ELU(0.5,True) Hardsigmoid(True) Hardswish(True) Hardtanh(-0.5,0.7,True)
    LeakyReLU(0.1,True) Mish(True) RReLU(0.1,0.3,True) ReLU6(True) SELU(True) SiLU(True)
    Threshold(0.2,3.0,True)
"""
for shown in ACTIVATIONS.split():
    case(
        shown,
        lambda nn, s=shown: eval(f"nn.{s}"),
        (2, 4, 3, 5),
        call=lambda m, x: m(x * 1.0),
        training=False,
    )

for d, shape in IMAGE.items():
    for shown in ("ReLU(True)", "LeakyReLU(0.2,inplace=True)"):
        case(
            f"conv{d}d unbiased, {shown}",
            lambda nn, d=d, s=shown: nn.Sequential(
                getattr(nn, f"Conv{d}d")(4, 2, 3, bias=False), eval(f"nn.{s}")
            ),
            shape,
        )

# ---- losses --------------------------------------------------------------------------------------

PAIR = ((3, 4), (3, 4))
SIGNS = Given(np.array([[1.0, -1, 1, -1], [-1, 1, 1, 1], [-1, -1, 1, -1]]))
CLASSES = Whole((3,), 4)
PER_CLASS = (0.5, 1.0, 2.0, 0.25)
for reduction in ("mean", "sum", "none"):

    def loss(name: str, settings: str, *inputs: Any, r: str = reduction) -> None:
        kind = name.split()[0]
        case(
            f"{name} {r}",
            lambda nn: eval(f"nn.{kind}({settings + ', ' if settings else ''}reduction={r!r})"),
            *inputs,
        )

    loss("MSELoss", "", *PAIR)
    loss("L1Loss", "", *PAIR)
    loss("SmoothL1Loss", "beta=0.5", *PAIR)
    loss("HuberLoss", "delta=0.7", *PAIR)
    loss("BCELoss", "", Shares((3, 4)), Given(SIGNS.values > 0))
    loss("BCEWithLogitsLoss", "", (3, 4), Given(SIGNS.values > 0))
    loss("NLLLoss", "ignore_index=2", (3, 4), CLASSES)
    loss("CrossEntropyLoss", "", (3, 4), CLASSES)
    loss("CrossEntropyLoss image", "label_smoothing=0.1", (3, 4, 2, 2), Whole((3, 2, 2), 4))
    loss("KLDivLoss", "log_target=True", *PAIR)
    loss("PoissonNLLLoss", "full=True", (3, 4), Given(np.arange(12.0).reshape(3, 4)))
    loss("PoissonNLLLoss plain", "log_input=False", Shares((3, 4)), Shares((3, 4)))
    loss("GaussianNLLLoss", "full=True", (3, 4), (3, 4), Shares((3, 4)))
    loss("SoftMarginLoss", "", (3, 4), SIGNS)
    loss("MarginRankingLoss", "margin=0.2", (4,), (4,), Given(SIGNS.values[0]))
    loss("HingeEmbeddingLoss", "margin=0.6", (3, 4), SIGNS)
    loss("CosineEmbeddingLoss", "margin=0.1", (4, 5), (4, 5), Given(SIGNS.values[0]))
    loss("MultiMarginLoss", "", (3, 4), CLASSES)
    loss("MultiMarginLoss p", "p=2, margin=0.7", (3, 4), CLASSES)
    loss("MultiLabelMarginLoss", "", (2, 4), Given(np.array([[3, 0, -1, 1], [-1, 2, 2, 2]])))
    loss("MultiLabelSoftMarginLoss", "", (3, 4), Given(SIGNS.values > 0))
    loss("TripletMarginLoss", "p=3, swap=True", (3, 4), (3, 4), (3, 4))
    loss("TripletMarginWithDistanceLoss", "margin=0.5", (3, 4), (3, 4), (3, 4))
    loss("LinearCrossEntropyLoss", "5, 4, bias=True", (3, 5), CLASSES)
case(
    "CTCLoss",
    lambda nn: nn.CTCLoss(),
    (6, 2, 4),
    Given(np.array([[1, 2, 2], [3, 1, 0]])),
    call=lambda m, x, y: m(x.log_softmax(2), y, (6, 5), (3, 2)),
)
case(
    "AdaptiveLogSoftmaxWithLoss",
    lambda nn: nn.AdaptiveLogSoftmaxWithLoss(8, 12, [4, 7], div_value=2.0, head_bias=True),
    (6, 8),
    Given(np.array([0, 11, 5, 3, 6, 9])),
)
case(
    "AdaptiveLogSoftmaxWithLoss log_prob",
    lambda nn: nn.AdaptiveLogSoftmaxWithLoss(8, 12, [4, 7], div_value=2.0),
    (6, 8),
    call=lambda m, x: (m.log_prob(x), m.predict(x)),
)
case(
    "LinearCrossEntropyLoss axes",
    lambda nn: nn.LinearCrossEntropyLoss(5, 4, out_features=(2,), label_smoothing=0.2),
    (3, 5),
    Whole((3, 2), 4),
)

# ---- weights of weights --------------------------------------------------------------------------

for what, make in {
    "weight_norm": lambda nn: nn.utils.weight_norm(nn.Linear(4, 3)),
    "weight_norm whole": lambda nn: nn.utils.weight_norm(nn.Conv1d(4, 3, 2), dim=None),
    "parametrizations.weight_norm": lambda nn: nn.utils.parametrizations.weight_norm(
        nn.Conv1d(4, 3, 2), dim=1
    ),
    "spectral_norm": lambda nn: nn.utils.spectral_norm(nn.Linear(4, 3), n_power_iterations=2),
    "spectral_norm transposed": lambda nn: nn.utils.spectral_norm(nn.ConvTranspose1d(4, 3, 2)),
    "parametrizations.spectral_norm": lambda nn: nn.utils.parametrizations.spectral_norm(
        nn.Conv1d(4, 3, 2)
    ),
    "weight_norm of a recurrent weight": lambda nn: nn.utils.weight_norm(
        nn.LSTM(4, 3), "weight_hh_l0"
    ),
}.items():
    case(what, make, (2, 4, 4))
for kind in ("matrix_exp", "cayley", "householder"):
    case(
        f"orthogonal {kind}",
        lambda nn, k=kind: nn.utils.parametrizations.orthogonal(
            nn.Linear(4, 3), orthogonal_map=k, use_trivialization=False
        ),
        (2, 4),
    )
