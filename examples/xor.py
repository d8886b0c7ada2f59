"""The whole idea on one screen: forward, loss, backward, step, written out by hand.

XOR is the smallest problem that one layer cannot solve.  Run: python examples/xor.py
"""

import numpy as np

import minicnn as mc

x = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
y = np.array([0, 1, 1, 0])

model = mc.Sequential([mc.Dense(8), mc.ReLU(), mc.Dense(1)]).build((2,), seed=0)
# The last layer gives a logit z; the probability of a 1 is 1 / (1 + exp(-z)).
loss_function = mc.BinaryCrossEntropy(from_logits=True)
optimizer = mc.Adam(learning_rate=0.05)

for step in range(201):
    logits, caches = model.forward(x, training=True)  # (4, 2) -> (4, 1), and what backward needs
    loss, dlogits = loss_function(y, logits)  # how wrong, and which way each logit should move
    model.backward(dlogits, caches)  # the chain rule, last layer first: fills parameter.grad
    optimizer.step(model.parameters)  # each weight takes a small step against its gradient
    if step % 50 == 0:
        print(f"step {step:3d}   loss {loss:.4f}")

for inputs, logit in zip(x, model(x)[:, 0], strict=True):
    print(
        f"{inputs[0]} xor {inputs[1]} = {int(logit > 0)}   (probability of 1: {1 / (1 + np.exp(-logit)):.3f})"
    )
