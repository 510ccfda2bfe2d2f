"""Layers, losses and weights refuse what does not fit, with the error classes programs expect.
Leans on schuss; the classes are PyTorch's, but where it asserts, ours are errors of their kind."""

from __future__ import annotations

import pytest
import schuss
from schuss import nn

NAMES = {"nn": nn, "schuss": schuss, "ones": schuss.ones}

REFUSED = {
    ValueError: """
        nn.Conv2d(3,4,3,groups=2)
        nn.Conv2d(4,3,3,groups=2)
        nn.Conv2d(4,4,3,groups=0)
        nn.Conv2d(3,4,3,padding='foo')
        nn.Conv2d(3,4,3,padding='same',stride=2)
        nn.Conv2d(3,4,3,padding_mode='foo')
        nn.Conv2d(3,4,(3,3,3))
        nn.ConvTranspose2d(3,4,3,padding_mode='reflect')
        nn.ConvTranspose2d(3,4,3,stride=2)(ones(1,3,4,4),output_size=(20,20))
        nn.ConvTranspose2d(3,4,3,stride=2)(ones(1,3,4,4),output_size=(20,))
        nn.FractionalMaxPool2d(2)
        nn.FractionalMaxPool2d(2,output_size=2,output_ratio=.5)
        nn.FractionalMaxPool2d(2,output_ratio=1.5)
        nn.CircularPad1d(1)(ones(1))
        nn.BatchNorm2d(3)(ones(1,3))
        nn.BatchNorm1d(3)(ones(1,3))
        nn.InstanceNorm2d(3)(ones(2,3,1,1))
        nn.InstanceNorm1d(3)(ones(3))
        nn.GroupNorm(2,3)
        nn.LSTM(3,4,0)
        nn.LSTM(3,0)
        nn.LSTM(3,4,dropout=2)
        nn.LSTM(3,4,dropout=True)
        nn.LSTM(3,4,proj_size=4)
        nn.LSTM(3,4,proj_size=-1)
        nn.GRU(3,4,proj_size=2)
        nn.RNN(3,4,nonlinearity='foo')
        nn.MultiheadAttention(5,2)
        nn.MultiheadAttention(0,2)
        nn.EmbeddingBag(3,4)(schuss.tensor([1]))
        nn.EmbeddingBag(3,4,mode='foo')(schuss.tensor([[1]]))
        nn.Dropout2d(2)
        nn.Hardtanh(1,0)
        nn.Softmax2d()(ones(2,2))
        nn.MultiMarginLoss(p=3)
        nn.TripletMarginLoss(margin=0)
        nn.CTCLoss(reduction='foo')(ones(1,1,2),schuss.tensor([[1]]),[1],[1])
        nn.MSELoss(reduction='foo')(ones(1),ones(1))
        nn.AdaptiveLogSoftmaxWithLoss(4,10,[])
        nn.AdaptiveLogSoftmaxWithLoss(4,10,[3,3])
        nn.GaussianNLLLoss()(ones(2),ones(2),-ones(2))
        nn.CrossEntropyLoss()(ones(2,3),schuss.tensor([0]))
        nn.utils.remove_weight_norm(nn.Linear(2,2))
        nn.utils.spectral_norm(nn.Linear(2,2),n_power_iterations=0)
        nn.utils.parametrizations.orthogonal(nn.Linear(2,2),'bias')
        nn.utils.parametrizations.orthogonal(nn.Linear(2,2),orthogonal_map='foo')
        nn.utils.parametrizations.weight_norm(nn.Linear(2,2),'foo')
        nn.utils.parametrize.register_parametrization(nn.Linear(2,2),'foo',nn.Identity())
        nn.utils.parametrize.register_parametrization(nn.Linear(2,2),'weight',nn.Flatten(0))
        nn.utils.parametrize.remove_parametrizations(nn.Linear(2,2),'weight')
        nn.utils.rnn.pad_packed_sequence(nn.utils.rnn.pack_sequence([ones(3),ones(2)]),total_length=2)
        nn.init.dirac_(ones(2,2))
        nn.init.dirac_(ones(3,3,1),groups=2)
        nn.init.sparse_(ones(3),.1)
        nn.init.orthogonal_(ones(3))
        nn.LazyLinear(2).weight + 1
    """,
    schuss.ShapeError: """
        nn.Conv2d(3,4,3)(ones(2,2))
        nn.MaxPool2d(2)(ones(2,2))
        nn.Conv2d(3,4,3)(ones(1,2,5,5))
        nn.Conv2d(-1,4,3)
        nn.BatchNorm2d(3)(ones(2,4,2,2))
        nn.InstanceNorm2d(3,affine=True)(ones(2,4,2,2))
        nn.GroupNorm(2,4)(ones(2,6,2))
        nn.LSTM(3,4)(ones(3))
        nn.LSTM(3,4)(ones(5,2,4))
        nn.LSTM(3,4)(ones(5,2,3),(ones(1,2,4),ones(1,3,4)))
        nn.GRU(3,4)(ones(5,2,3),ones(1,2,5))
        nn.GRU(3,4)(ones(5,2,3),ones(2,4))
        nn.LSTMCell(3,4)(ones(2,2,3))
        nn.LSTMCell(3,4)(ones(2,2))
        nn.RNNCell(3,4)(ones(2,3),ones(3,4))
        nn.MultiheadAttention(4,2)(ones(3,2,5),ones(3,2,5),ones(3,2,5))
        nn.MultiheadAttention(4,2)(ones(3,2,4),ones(3,2,4),ones(3,2,4),attn_mask=ones(2,2))
        nn.MultiheadAttention(4,2)(ones(3,2,4),ones(3,2,4),ones(3,2,4),key_padding_mask=ones(3,3))
        nn.MultiheadAttention(4,2)(ones(3,2,4),ones(2,2,4),ones(3,2,4))
        nn.MultiheadAttention(4,2)(ones(3,2,4,1),ones(2,2,4),ones(3,2,4))
        nn.Transformer(4,2,1,1,4)(ones(3,2,4),ones(3,1,4))
        nn.Transformer(4,2,1,1,4)(ones(3,2,5),ones(3,2,4))
        nn.Embedding(3,4,_weight=ones(2,2))
        nn.Embedding.from_pretrained(ones(3))
        nn.PReLU(3)(ones(2,2))
        nn.utils.rnn.pad_sequence([ones(2,3),ones(2,2)])
        nn.Unflatten(1,(2,2))(ones(1,3))
        nn.Bilinear(2,3,4)(ones(2,2),ones(3,3))
    """,
    RuntimeError: """
        nn.Conv2d(3,4,3)(ones(3,2,2))
        nn.Conv2d(3,4,3,stride=0)(ones(1,3,5,5))
        nn.MaxPool2d(2,padding=2)(ones(1,1,4,4))
        nn.MaxPool2d(0)(ones(1,1,4,4))
        nn.AvgPool2d(2,divisor_override=0)(ones(1,1,4,4))
        nn.ReflectionPad1d(3)(ones(1,1,3))
        nn.LayerNorm(3)(ones(2,4))
        nn.RMSNorm(3)(ones(2,4))
        nn.LSTM(3,4)(ones(5,2,3),ones(1,2,4))
        nn.GRU(3,4)(ones(0,2,3))
        nn.RNNCell(3,4,nonlinearity='foo')(ones(2,3))
        nn.MultiheadAttention(4,2)(ones(3,2,4),ones(3,2,4),ones(3,2,4),is_causal=True)
        nn.TransformerEncoderLayer(4,2,activation='foo')
        nn.Embedding(3,4)(ones(2))
        nn.EmbeddingBag(3,4)(schuss.tensor([1]),schuss.tensor([1]))
        nn.PixelShuffle(2)(ones(1,3,2,2))
        nn.ChannelShuffle(2)(ones(1,3,2,2))
        nn.GLU()(ones(3))
        nn.AdaptiveLogSoftmaxWithLoss(4,10,[3])(ones(2,4),schuss.tensor([0]))
        nn.AdaptiveLogSoftmaxWithLoss(4,10,[3])(ones(1,4),schuss.tensor([10]))
        nn.utils.rnn.pack_padded_sequence(ones(3,2,1),[2,3])
        nn.utils.rnn.pack_padded_sequence(ones(3,2,1),[3,0])
        nn.utils.rnn.pack_padded_sequence(ones(3,2,1),[3])
        nn.utils.rnn.pack_padded_sequence(ones(3,2,1),[4,1])
        nn.utils.rnn.pad_sequence([])
        nn.utils.rnn.pack_sequence([ones(2),ones(3)])
        nn.LazyConv2d(3,2)(ones(2,2))
        nn.LazyLinear(2).weight.shape
        nn.Fold(4,2)(ones(1,3,9))
        nn.Unfold(9)(ones(1,1,3,3))
        nn.CosineSimilarity()(ones(2,3),ones(2,4))
    """,
    TypeError: """
        nn.LSTM(3,4.0)
        nn.Dropout2d('a')
        nn.ParameterList(3)
        nn.ModuleList([1])
        nn.Sequential(1)
    """,
    IndexError: """
        nn.Embedding(3,4)(schuss.tensor([3]))
        nn.Embedding(3,4,padding_idx=3)
        nn.NLLLoss()(ones(2,3),schuss.tensor([0,3]))
    """,
    NotImplementedError: """
        nn.EmbeddingBag(3,4)(schuss.tensor([[1]]),per_sample_weights=ones(1,1))
        nn.Upsample(scale_factor=2)(ones(2,2))
        nn.Upsample(scale_factor=2,mode='foo')(ones(1,1,2,2))
    """,
    AttributeError: """
        nn.utils.weight_norm(nn.Linear(2,2),'foo')
    """,
}


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    ("error", "line"),
    [(error, line.strip()) for error, lines in REFUSED.items() for line in lines.split("\n")[1:-1]],
)
def test_what_does_not_fit_is_refused(error, line):
    with pytest.raises(error) as caught:
        eval(line, NAMES)
    operation, colon, said = str(caught.value).partition(": ")
    assert colon and said and " " not in operation


def test_a_state_that_does_not_fit_changes_nothing():
    model = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 3), nn.BatchNorm1d(3))
    model(schuss.randn(4, 2))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    wrong = nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 3), nn.BatchNorm1d(4)).state_dict()
    with pytest.raises(RuntimeError) as caught:
        model.load_state_dict(wrong)
    assert all(f"2.{name}" in str(caught.value) for name in ("weight", "running_var"))
    for key, value in model.state_dict().items():
        assert bool((value == before[key]).all()), key


def test_states_from_before_batches_were_counted_are_taken():
    model = nn.BatchNorm1d(2)
    model(schuss.randn(4, 2))
    plain = {k: v for k, v in nn.BatchNorm1d(2).state_dict().items() if "tracked" not in k}
    model.load_state_dict(plain)
    assert int(model.num_batches_tracked) == 1 and not bool(model.running_mean.any())
    newer = nn.BatchNorm1d(2).state_dict()
    del newer["num_batches_tracked"]
    with pytest.raises(RuntimeError, match="num_batches_tracked"):
        model.load_state_dict(newer)


def test_sparse_gradients_are_refused_in_words():
    for make in (nn.Embedding, nn.EmbeddingBag):
        with pytest.raises(NotImplementedError, match="leave sparse=False"):
            make(3, 2, sparse=True)
    with pytest.raises(NotImplementedError, match="leave sparse=False"):
        nn.functional.embedding(schuss.tensor([0]), schuss.ones(2, 2), sparse=True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"padding_idx": 4}, "padding_idx 4 outside a table of 4 rows"),
        ({"padding_idx": -5}, "padding_idx -5 outside"),
        ({"padding_idx": "a"}, "padding_idx must be an integer, got str"),
        ({"max_norm": float("nan")}, "max_norm must be a length of 0 or more, got nan"),
        ({"max_norm": -1.0}, "max_norm must be a length"),
    ],
)
def test_bad_settings_of_tables_are_refused(options, said):
    where = schuss.tensor([[1]])
    for look in (nn.functional.embedding, nn.functional.embedding_bag):
        with pytest.raises((IndexError, TypeError, ValueError), match=said):
            look(where, schuss.ones(4, 3), **options)
    with pytest.raises((IndexError, TypeError, ValueError), match=said):
        nn.Embedding(4, 3, **options)(where)
    for kind in (schuss.bool, schuss.float32, schuss.complex64):
        with pytest.raises(RuntimeError, match="embedding: indices must be integers"):
            nn.functional.embedding(where.to(kind), schuss.ones(4, 3))
