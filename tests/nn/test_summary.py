"""The tables of models that branch, nest and freeze: Keras's."""

from __future__ import annotations

from konv import nn


def text_of(model: nn.Model, **options: object) -> str:
    lines: list[str] = []
    model.summary(print_fn=lines.append, **options)
    return "\n".join(lines)


def test_connections_of_a_model_that_branches():
    x = nn.Input((32, 32, 3), name="img")
    y = nn.Conv2D(32, 3, name="conv2d_8", activation="relu")(x)
    z = nn.Conv2D(32, 3, name="conv2d_10", padding="same")(y)
    model = nn.Model(x, nn.Add(name="add_12")([z, nn.MaxPooling2D(1, name="max_pooling2d_2")(y)]), name="toy_resnet")
    assert (
        text_of(model)
        == """\
Model: "toy_resnet"
┏━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━━━━┓
┃ Layer (type)        ┃ Output Shape      ┃    Param # ┃ Connected to      ┃
┡━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━━━━┩
│ img (InputLayer)    │ (None, 32, 32, 3) │          0 │ -                 │
├─────────────────────┼───────────────────┼────────────┼───────────────────┤
│ conv2d_8 (Conv2D)   │ (None, 30, 30,    │        896 │ img[0][0]         │
│                     │ 32)               │            │                   │
├─────────────────────┼───────────────────┼────────────┼───────────────────┤
│ conv2d_10 (Conv2D)  │ (None, 30, 30,    │      9,248 │ conv2d_8[0][0]    │
│                     │ 32)               │            │                   │
├─────────────────────┼───────────────────┼────────────┼───────────────────┤
│ max_pooling2d_2     │ (None, 30, 30,    │          0 │ conv2d_8[0][0]    │
│ (MaxPooling2D)      │ 32)               │            │                   │
├─────────────────────┼───────────────────┼────────────┼───────────────────┤
│ add_12 (Add)        │ (None, 30, 30,    │          0 │ conv2d_10[0][0],  │
│                     │ 32)               │            │ max_pooling2d_2[… │
└─────────────────────┴───────────────────┴────────────┴───────────────────┘
 Total params: 10,144 (39.62 KB)
 Trainable params: 10,144 (39.62 KB)
 Non-trainable params: 0 (0.00 B)"""
    )


def test_a_chain_shows_its_input_and_no_connections():
    x = nn.Input((4,), name="x")
    text = text_of(nn.Model(x, nn.Dense(2, name="d")(x)))
    assert "Connected to" not in text
    assert "│ x (InputLayer)                  │ (None, 4)              │             0 │" in text


def test_shared_and_nested_layers():
    inner = nn.Sequential([nn.Input((3,), name="i"), nn.Dense(5, name="d")], name="enc")
    a, b = nn.Input((3,), name="a"), nn.Input((3,), name="b")
    model = nn.Model([a, b], nn.Add(name="sum")([inner(a), inner(b)]))
    text = text_of(model, expand_nested=True, show_trainable=True)
    assert "│ enc (Sequential)    │ (None, 5)         │         20 │ a[0][0], b[0][0]  │ Y         │" in text
    assert "│ └ d (Dense)         │ (None, 5)         │         20 │ i[0][0]           │ Y         │" in text
    assert "enc[0][0]," in text
    assert "enc[1][0]" in text
    assert "└" not in text_of(model).replace("└─", "")
    inner.trainable = False
    assert "│ a[0][0], b[0][0]  │ N         │" in text_of(model, show_trainable=True)


def test_statistics_are_not_trainable():
    text = text_of(nn.Sequential([nn.Input((3,)), nn.BatchNormalization()]))
    assert "Trainable params: 6 (24.00 B)" in text
    assert "Non-trainable params: 6 (24.00 B)" in text


def test_line_length():
    lines = text_of(nn.Sequential([nn.Input((3,)), nn.Dense(3)]), line_length=152).splitlines()
    assert 148 <= len(lines[1]) <= 152
